/**
 * Tasks, events and steps for the tests of the backend contract.
 */
import { AgentId, ClaimId, ConversationId, messageId, RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import { userText } from "@perennial/domain/Message"
import { type Claim, type Head, type NewTask, TaskBackend } from "@perennial/domain/TaskBackend"
import type { StoredEvent, TaskEvent, Terminal } from "@perennial/domain/TaskEvent"
import type { TaskSpec } from "@perennial/domain/TaskSpec"
import { zero } from "@perennial/domain/Usage"
import { type Array, Duration, Effect, Option } from "effect"

/** Defines one test against a store of its own. */
export type Test = <E>(name: string, body: Effect.Effect<void, E, TaskBackend>) => void

export const alice = UserId.make("alice")
export const bob = UserId.make("bob")
export const runnerA = RunnerId.make("runner-a")
export const runnerB = RunnerId.make("runner-b")
export const conversation = ConversationId.make("c1")
export const taskId = (id: string) => TaskId.make(id)
export const conversationId = (id: string) => ConversationId.make(id)

export const newTask = (id: string, change: Partial<NewTask> = {}): NewTask => ({
  id: taskId(id),
  conversationId: conversation,
  userId: alice,
  agentId: AgentId.make("agent"),
  input: userText(`message of ${id}`),
  spec: {},
  ...change
})

/** The value of each field of a spec. */
export const wholeSpec: Required<TaskSpec> = {
  metadata: { plan: "pro", nested: [1, { two: "\u0000" }] },
  replaces: messageId(taskId("t0"), 1),
  preview: "zero \u0000 🌲",
  userMetadata: { page: [2] },
  logContext: { request: "r" },
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  parent: { taskId: taskId("t0"), toolCallId: "call \u0000", seq: 4 },
  deadline: 1_000,
  maxTotalTokens: 100
}

export const reject = { onBusy: "reject", maxQueued: 10 } as const
export const enqueue = { onBusy: "enqueue", maxQueued: 10 } as const
export const interrupt = { onBusy: "interrupt", maxQueued: 10 } as const

const event = (id: TaskId, body: object): TaskEvent =>
  // Only built from the complete bodies below.
  ({ taskId: id, conversationId: conversation, ...body }) as unknown as TaskEvent

export const text = (id: string, content: string): TaskEvent => event(taskId(id), { type: "text", content })

export const toolResult = (id: string): TaskEvent =>
  event(taskId(id), { type: "tool_result", tool: "t", toolCallId: "call", result: { n: 1 }, status: "completed" })

export const message = (id: string): TaskEvent =>
  event(taskId(id), { type: "message", message: { role: "assistant", content: [] }, usage: zero })

/** Events that settle the log of a dead owner: a cut answer, a cut call. */
export const partial = (id: string): TaskEvent => ({ ...message(id), partial: true }) as TaskEvent

export const interrupted = (id: string): TaskEvent => ({ ...toolResult(id), status: "interrupted" }) as TaskEvent

export const done = (id: string): Terminal => event(taskId(id), { type: "done", usage: zero }) as Terminal

export const failure = (id: string, detail = "It broke."): Terminal =>
  event(taskId(id), { type: "error", error: "Broken", detail, retryable: false }) as Terminal

export const cancelled = (id: string): Terminal => event(taskId(id), { type: "cancelled" }) as Terminal

/** Numbers events from a seq on. */
export const stored = (
  first: number,
  ...events: Array.NonEmptyReadonlyArray<TaskEvent>
): Array.NonEmptyReadonlyArray<StoredEvent> => {
  const [head, ...rest] = events
  return [{ seq: first, at: 1000, event: head }, ...rest.map((event, i) => ({ seq: first + 1 + i, at: 1000, event }))]
}

/** A runner that lives until the test ends it. */
export const live = (runnerId: RunnerId) =>
  Effect.flatMap(TaskBackend, (backend) => backend.heartbeat(runnerId, Duration.hours(1)))

/** Ends a runner's lease at once. */
export const die = (runnerId: RunnerId) =>
  Effect.flatMap(TaskBackend, (backend) => backend.heartbeat(runnerId, Duration.zero))

/** The claim id of a test's execution: the same for the same execution. */
export const claimIdOf = (runnerId: RunnerId, expectedToken: number, execution = 1) =>
  ClaimId.make(`${runnerId}/${expectedToken}/${execution}`)

/** Asks for a claim. `execution` tells two executions by the same runner under the same token apart. */
export const tryClaim = (id: string, runnerId: RunnerId = runnerA, expectedToken = 0, execution = 1) =>
  Effect.flatMap(
    TaskBackend,
    (backend) =>
      backend.claim(taskId(id), { runnerId, expectedToken, claimId: claimIdOf(runnerId, expectedToken, execution) })
  )

/** Claims a task with a live runner. */
export const claim = Effect.fnUntraced(function*(id: string, runnerId: RunnerId = runnerA, expectedToken = 0) {
  yield* live(runnerId)
  return yield* Effect.fromOption(yield* tryClaim(id, runnerId, expectedToken))
})

/** Accepts a task and claims it. */
export const begin = Effect.fnUntraced(function*(id: string, change: Partial<NewTask> = {}) {
  const backend = yield* TaskBackend
  yield* backend.create(newTask(id, change), reject)
  return yield* claim(id)
})

export const end = Effect.fnUntraced(function*(owner: Claim, terminal: Terminal = done(owner.taskId)) {
  const backend = yield* TaskBackend
  const { lastSeq } = yield* backend.get(owner.taskId)
  return yield* backend.finish(owner, stored(lastSeq + 1, terminal))
})

/** All that the log of a task holds. */
export const log = Effect.fnUntraced(function*(id: string) {
  const backend = yield* TaskBackend
  const { events } = yield* backend.events(taskId(id), { after: 0, limit: 1000, maxBytes: 1_000_000 })
  return events
})

export const types = (events: ReadonlyArray<StoredEvent>) => events.map(({ event }) => event.type)

export const headIds = (heads: ReadonlyArray<Head>) => heads.map((head) => head.taskId)

export const headId = (head: Option.Option<Head>) => Option.getOrUndefined(Option.map(head, (head) => head.taskId))
