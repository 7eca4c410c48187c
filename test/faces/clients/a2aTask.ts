/** What a client of A2A makes of the elements of streams: the rules of the protocol. */
import { type Artifact, type Message, type Part, Role, type StreamResponse, type Task, TaskState } from "@a2a-js/sdk"
import assert from "node:assert/strict"
import { completed, type Line } from "../shown.ts"

const withArtifact = (task: Task, artifact: Artifact, append: boolean): Task => {
  const known = task.artifacts.find(({ artifactId }) => artifactId === artifact.artifactId)
  assert(!append || known !== undefined, "something is appended to an artifact that the client does not have")
  const whole = append && known !== undefined ? { ...known, parts: [...known.parts, ...artifact.parts] } : artifact
  return {
    ...task,
    artifacts: known === undefined
      ? [...task.artifacts, whole]
      : task.artifacts.map((other) => other === known ? whole : other)
  }
}

/** The task after one more element of its streams. */
export const apply = (task: Task | undefined, { payload }: StreamResponse): Task => {
  assert(payload !== undefined)
  if (payload.$case === "task") return payload.value
  assert(task !== undefined, "the task is first")
  assert(payload.$case !== "message")
  assert.deepEqual([payload.value.taskId, payload.value.contextId], [task.id, task.contextId])
  if (payload.$case === "artifactUpdate") {
    const { append, artifact } = payload.value
    assert(artifact !== undefined && artifact.parts.length > 0)
    return withArtifact(task, artifact, append)
  }
  const { status } = payload.value
  const { message } = task.status ?? {}
  return { ...task, status, history: message === undefined ? task.history : [...task.history, message] }
}

export const textOf = (parts: ReadonlyArray<Part>): string =>
  parts.map(({ content }) => content?.$case === "text" ? content.value : "").join("")

const lineOf = (role: Role, { content, metadata }: Part): ReadonlyArray<Line> => {
  if (content?.$case === "text") {
    if (role === Role.ROLE_USER) return [{ kind: "user", value: content.value }]
    return metadata?.["kind"] === "reasoning" ? [{ kind: "reasoning", value: content.value }] : []
  }
  if (content?.$case !== "data") return []
  const { args, decision, result, status, tool } = Object(content.value)
  switch (metadata?.["kind"]) {
    case "tool_call":
      return [{ kind: "call", value: `${tool} ${JSON.stringify(args)}` }]
    case "tool_result": {
      const denied = decision?.approved === false ? "denied" : "error"
      return [{ kind: "result", value: status === "completed" ? completed(result) : denied }]
    }
    default:
      return []
  }
}

/** All messages of a task, the newest last. */
export const messagesOf = ({ history, status }: Task): ReadonlyArray<Message> =>
  status?.message === undefined ? history : [...history, status.message]

export const lines = (task: Task): ReadonlyArray<Line> => [
  ...messagesOf(task).flatMap(({ parts, role }) => parts.flatMap((part) => lineOf(role, part))),
  ...task.artifacts.flatMap(({ parts }): ReadonlyArray<Line> => {
    const value = textOf(parts)
    return value === "" ? [] : [{ kind: "text", value }]
  })
]

export const hasEnded = ({ status }: Task): boolean =>
  [TaskState.TASK_STATE_COMPLETED, TaskState.TASK_STATE_FAILED, TaskState.TASK_STATE_CANCELED].includes(
    status?.state ?? TaskState.UNRECOGNIZED
  )
