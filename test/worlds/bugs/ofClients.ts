import { type Canary, canary, http, memoryConversations, memoryTasks, runtime } from "./canary.ts"

/** Bugs of `LlmAgent`. */
export const ofAgent: ReadonlyArray<Canary> = [
  canary(
    "LlmAgent repeats an unsafe call",
    `${runtime}internal/agent/toolCalls.ts`,
    "if (past.entered && !isSafeToRepeat(tools, asked.tool)) {",
    "if (past.entered && isSafeToRepeat(tools, asked.tool)) {"
  ),
  canary(
    "LlmAgent repeats calls that have a result",
    `${runtime}internal/agent/resumePoint.ts`,
    "open: calls.filter((call) => !answered.has(call.toolCallId)),",
    "open: calls,"
  ),
  canary(
    "a wait for approval is too short",
    `${runtime}internal/task/agentInput.ts`,
    "const from = asked?.at ?? now()",
    "const from = asked?.at ?? now() - 3_000"
  )
]

/** Bugs of the client for HTTP. */
export const ofClient: ReadonlyArray<Canary> = [
  canary(
    "a start that is repeated over HTTP has another key",
    `${http}internal/remoteTaskManager.ts`,
    "const headers = { \"idempotency-key\": yield* keyOf(idempotencyKey) }\n    const { body } = yield* client.tasks.start(",
    "const headers = { \"idempotency-key\": yield* keyOf(undefined) }\n    const { body } = yield* client.tasks.start("
  ),
  canary(
    "a watch goes on one event too late",
    `${http}Watch.ts`,
    "{ \"last-event-id\": cursor }",
    "{ \"last-event-id\": cursor + 1 }"
  ),
  {
    name: "a watch delivers its last event again",
    edits: [
      { file: `${http}Watch.ts`, find: "{ \"last-event-id\": cursor }", replace: "{ \"last-event-id\": cursor - 1 }" },
      {
        file: `${http}Watch.ts`,
        find: "Stream.filter(({ seq }) => seq > cursor)",
        replace: "Stream.filter(({ seq }) => seq > 0)"
      }
    ]
  }
]

/** Bugs that show a user what belongs to another. */
export const ofPrivacy: ReadonlyArray<Canary> = [
  canary(
    "tasks of other users are found",
    memoryTasks,
    "return userId === undefined || row?.task.userId === userId ? row : undefined",
    "return userId === undefined || row?.task.userId !== undefined ? row : undefined"
  ),
  canary(
    "conversations of other users are found",
    memoryConversations,
    "(userId !== undefined && entry.userId !== userId)",
    "(userId === undefined && entry.userId === userId)"
  )
]
