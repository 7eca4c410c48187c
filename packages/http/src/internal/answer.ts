/**
 * What the runtime fails with, turned into what clients see.
 */
import type * as TaskError from "@perennial/domain/TaskError"
import { Effect } from "effect"
import * as Problems from "../Problems.ts"

const unavailable = (e: TaskError.StreamLost | TaskError.TaskBackendError | TaskError.ConversationStoreError) =>
  new Problems.Unavailable({
    detail: `The store of ${
      e._tag === "ConversationStoreError" ? "conversations" : "tasks"
    } did not answer. Try again; starts are safe to repeat with the same idempotency key.`
  })

const problems = {
  InvalidInput: (e: TaskError.InvalidInput) =>
    new Problems.InvalidRequest({ detail: e.message, errors: [{ path: ["payload", e.field], message: e.problem }] }),
  TaskNotFound: (e: TaskError.TaskNotFound) => new Problems.TaskNotFound({ detail: e.message, taskId: e.taskId }),
  ConversationNotFound: (e: TaskError.ConversationNotFound) =>
    new Problems.ConversationNotFound({ detail: e.message, conversationId: e.conversationId }),
  MessageNotFound: (e: TaskError.MessageNotFound) =>
    new Problems.MessageNotFound({
      detail: e.message,
      conversationId: e.conversationId,
      ...(e.messageId === undefined ? {} : { messageId: e.messageId })
    }),
  ConversationBusy: (e: TaskError.ConversationBusy) =>
    new Problems.ConversationBusy({
      detail: e.message,
      conversationId: e.conversationId,
      activeTaskId: e.activeTaskId
    }),
  QueueFull: (e: TaskError.QueueFull) =>
    new Problems.QueueFull({ detail: e.message, conversationId: e.conversationId, limit: e.limit }),
  CapacityExceeded: (e: TaskError.CapacityExceeded) =>
    new Problems.CapacityExceeded({ detail: e.message, limit: e.limit }),
  IdempotencyConflict: (e: TaskError.IdempotencyConflict) =>
    new Problems.IdempotencyConflict({ detail: e.message, idempotencyKey: e.idempotencyKey }),
  AgentNotFound: (e: TaskError.AgentNotFound) =>
    new Problems.AgentNotFound({ detail: e.message, agentId: e.agentId, known: e.known }),
  EventsExpired: (e: TaskError.EventsExpired) => new Problems.EventsExpired({ detail: e.message, taskId: e.taskId }),
  CursorAhead: (e: TaskError.CursorAhead) =>
    new Problems.CursorAhead({ detail: e.message, taskId: e.taskId, after: e.after, lastSeq: e.lastSeq }),
  ToolCallNotFound: (e: TaskError.ToolCallNotFound) =>
    new Problems.ToolCallNotFound({ detail: e.message, taskId: e.taskId, toolCallId: e.toolCallId }),
  AlreadyDecided: (e: TaskError.AlreadyDecided) =>
    new Problems.AlreadyDecided({ detail: e.message, taskId: e.taskId, toolCallId: e.toolCallId }),
  StreamLost: unavailable,
  TaskBackendError: unavailable,
  ConversationStoreError: unavailable
}

type Problems = typeof problems
type Failure = Parameters<Problems[keyof Problems]>[0]

/** The problem that clients see for a failure of the runtime. */
export const toProblem = <E extends Failure>(error: E): ReturnType<Problems[E["_tag"]]> =>
  // The tag selects the one constructor that takes this error; TypeScript cannot follow that through the union.
  (problems[error._tag] as (error: Failure) => never)(error)

/** Answers with the problem that belongs to a failure. What a store says stays in the log of the server (P12). */
export const answer = <A, E extends Failure, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, ReturnType<Problems[E["_tag"]]>, R> =>
  Effect.catch(self, (error) => {
    const problem = Effect.fail(toProblem(error))
    return error._tag === "TaskBackendError" || error._tag === "ConversationStoreError"
      ? Effect.andThen(Effect.logError(error.message, error), problem)
      : problem
  })
