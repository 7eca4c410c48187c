/**
 * A task of A2A as far as it has come, and as an object of the protocol.
 *
 * @since 0.1.0
 */
import type { ConversationId, TaskId } from "@perennial/domain/Ids"
import type { Usage } from "@perennial/domain/Usage"
import { DateTime, type Schema } from "effect"
import * as Draft from "../../internal/draft.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type Json = { readonly [field: string]: Schema.Json }

/**
 * What of a task is not in its log.
 *
 * @since 0.1.0
 * @category models
 */
export interface Head {
  readonly taskId: TaskId
  /** The conversation. */
  readonly contextId: ConversationId
  /** What the client gave with the message, and the agent. */
  readonly metadata: Json
  /** The message of the user, if it is known. */
  readonly input: A2aMessage | undefined
}

/**
 * A part of a message or of an artifact.
 *
 * @since 0.1.0
 * @category models
 */
export type Part = Json

/**
 * A message of the user or of the agent.
 *
 * @since 0.1.0
 * @category models
 */
export interface A2aMessage extends Json {
  readonly messageId: string
  readonly role: "ROLE_USER" | "ROLE_AGENT"
  readonly parts: ReadonlyArray<Part>
}

/**
 * @since 0.1.0
 * @category models
 */
export type TaskState =
  | "TASK_STATE_SUBMITTED"
  | "TASK_STATE_WORKING"
  | "TASK_STATE_INPUT_REQUIRED"
  | "TASK_STATE_COMPLETED"
  | "TASK_STATE_FAILED"
  | "TASK_STATE_CANCELED"

/**
 * The status of a task, with what the agent said when the status began.
 *
 * @since 0.1.0
 * @category models
 */
export interface Status {
  readonly state: TaskState
  /** In milliseconds since 1970-01-01T00:00Z. */
  readonly at: number
  readonly message: A2aMessage | undefined
}

/**
 * A tool call without a result.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  readonly tool: string
  readonly args: Schema.Json
  readonly waiting: boolean
}

/**
 * The text of one answer of the model.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly id: string
  readonly text: string
}

/**
 * A task as far as it has come.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly status: Status
  /** The answers that are complete and have text. */
  readonly answers: ReadonlyArray<Answer>
  /** The number of complete answers. */
  readonly count: number
  readonly draft: Draft.Draft
  /** Whether the client has the artifact of the draft. */
  readonly shown: boolean
  /** What was said after the message of the user, without the message of `status`. */
  readonly said: ReadonlyArray<A2aMessage>
  readonly calls: ReadonlyMap<string, Call>
  readonly usage: Usage | undefined
  readonly title: string | undefined
  /** The seq at which everything began to wait for a person, the last time. */
  readonly pausedAt: number
}

/**
 * Before the first event.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial: State = {
  status: { state: "TASK_STATE_SUBMITTED", at: 0, message: undefined },
  answers: [],
  count: 0,
  draft: Draft.empty,
  shown: false,
  said: [],
  calls: new Map(),
  usage: undefined,
  title: undefined,
  pausedAt: 0
}

/**
 * Whether the task has ended.
 *
 * @since 0.1.0
 * @category predicates
 */
export const hasEnded = ({ status: { state } }: State): boolean =>
  state === "TASK_STATE_COMPLETED" || state === "TASK_STATE_FAILED" || state === "TASK_STATE_CANCELED"

/**
 * Whether everything waits for a person.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isPaused = ({ status: { state } }: State): boolean => state === "TASK_STATE_INPUT_REQUIRED"

/**
 * The id of the artifact that the draft becomes.
 *
 * @since 0.1.0
 * @category identifiers
 */
export const answerId = ({ count }: Pick<State, "count">): string => `answer-${count + 1}`

/**
 * The text that was streamed since the last complete answer.
 *
 * @since 0.1.0
 * @category accessors
 */
export const draftText = ({ draft }: Pick<State, "draft">): string =>
  draft.blocks.map(({ kind, text }) => kind === "text" ? text : "").join("")

/**
 * @since 0.1.0
 * @category encoding
 */
export const timestamp = (at: number): string => DateTime.formatIso(DateTime.makeUnsafe(at))

/**
 * @since 0.1.0
 * @category encoding
 */
export const statusObject = ({ at, message, state }: Status): Json => ({
  state,
  timestamp: timestamp(at),
  ...(message === undefined ? {} : { message })
})

/**
 * @since 0.1.0
 * @category encoding
 */
export const artifactObject = ({ id, text }: Answer): Json => ({ artifactId: id, name: "answer", parts: [{ text }] })

const artifactsOf = (state: State): ReadonlyArray<Json> => {
  const text = draftText(state)
  const answers = text === "" ? state.answers : [...state.answers, { id: answerId(state), text }]
  return answers.map(artifactObject)
}

/** The newest messages alone, if the client wants fewer. */
const historyOf = (
  { input }: Head,
  { said }: State,
  length: number | undefined
): ReadonlyArray<A2aMessage> => {
  const all = input === undefined ? said : [input, ...said]
  return length === undefined ? all : all.slice(Math.max(0, all.length - length))
}

/**
 * The task as an object. `historyLength` is the largest number of messages; all by default.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toObject = (
  head: Head,
  state: State,
  { artifacts = true, historyLength }: {
    readonly artifacts?: boolean | undefined
    readonly historyLength?: number | undefined
  } = {}
): Json => {
  const history = historyOf(head, state, historyLength)
  return {
    id: head.taskId,
    contextId: head.contextId,
    status: statusObject(state.status),
    ...(artifacts ? { artifacts: artifactsOf(state) } : {}),
    ...(history.length === 0 ? {} : { history }),
    metadata: {
      ...head.metadata,
      ...(state.title === undefined ? {} : { title: state.title }),
      ...(state.usage === undefined ? {} : { usage: { ...state.usage } })
    }
  }
}
