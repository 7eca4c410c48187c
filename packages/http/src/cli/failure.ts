/**
 * How a command ends: its exit code, and the one line that says why.
 */
import { type Cause, Data, Effect, Layer, Predicate, Runtime } from "effect"
import { HttpClientError } from "effect/http"
import { brief } from "./output.ts"

/** docs/cli.md explains each code. */
export const exitCodes = {
  /** The task ended with an error or was cancelled; or `doctor` found something that is wrong. */
  notCompleted: 1,
  /** The command line, a setting or the input is not valid. */
  usage: 2,
  /** The server or the store cannot be reached, or failed. */
  unreachable: 3,
  /** The token is missing, wrong, or not sufficient. */
  notAllowed: 4,
  /** What the command names does not exist. */
  notFound: 5,
  /** Refused for now: a busy conversation, a limit, another decision. */
  refused: 6,
  /** A bug of this program. */
  bug: 70,
  interrupted: 130,
  terminated: 143
} as const

/** Ends the program with a code. The line, if there is one, is printed. */
export class Failure
  extends Data.TaggedError("Failure")<{ readonly code: number; readonly line?: string | undefined }>
{
  override readonly [Runtime.errorExitCode] = this.code
  override readonly [Runtime.errorReported] = false
  override get message() {
    return this.line ?? `The exit code is ${this.code}.`
  }
}

export const usage = (line: string): Failure => new Failure({ code: exitCodes.usage, line })

const codes: { readonly [Tag in string]?: number } = {
  InvalidInput: exitCodes.usage,
  InvalidRequest: exitCodes.usage,
  PayloadTooLarge: exitCodes.usage,
  Unauthorized: exitCodes.notAllowed,
  Forbidden: exitCodes.notAllowed,
  OperatorOnly: exitCodes.notAllowed,
  AgentNotFound: exitCodes.notFound,
  ConversationNotFound: exitCodes.notFound,
  CursorAhead: exitCodes.notFound,
  EventsExpired: exitCodes.notFound,
  MessageNotFound: exitCodes.notFound,
  TaskNotFound: exitCodes.notFound,
  ToolCallNotFound: exitCodes.notFound,
  AlreadyDecided: exitCodes.refused,
  CapacityExceeded: exitCodes.refused,
  ConversationBusy: exitCodes.refused,
  IdempotencyConflict: exitCodes.refused,
  QueueFull: exitCodes.refused,
  RateLimited: exitCodes.refused,
  TooManyStreams: exitCodes.refused,
  TooManyUserStreams: exitCodes.refused,
  RouteNotFound: exitCodes.notFound,
  UserStillActive: exitCodes.refused
}

/** The error below the errors that only say in which operation it happened. */
const rootOf = (error: unknown): unknown =>
  ["ConversationStoreError", "TaskBackendError", "WebhookStoreError"].some((tag) => Predicate.isTagged(error, tag))
    && Predicate.hasProperty(error, "cause") && Predicate.isObject(error.cause)
    ? rootOf(error.cause)
    : error

const sentenceOf = (error: unknown): string => {
  if (HttpClientError.isHttpClientError(error)) {
    const { reason } = error
    if (reason._tag === "StatusCodeError") return `The server answered ${reason.response.status}.`
    return `The server cannot be reached: ${whyTransport(reason)}.`
  }
  if (Predicate.hasProperty(error, "detail") && typeof error.detail === "string") return error.detail
  return Predicate.hasProperty(error, "message") ? String(error.message) : String(error)
}

/** The innermost reason, such as `connect ECONNREFUSED 127.0.0.1:3000`. */
export const whyTransport = (error: unknown): string => {
  if (error instanceof AggregateError && error.errors.length > 0) return whyTransport(error.errors[0])
  if (Predicate.hasProperty(error, "cause") && error.cause !== undefined) return whyTransport(error.cause)
  return Predicate.hasProperty(error, "message") ? String(error.message).replace(/\.$/, "") : String(error)
}

/** How the program ends after an error. */
export const toFailure = (error: unknown): Failure => {
  if (error instanceof Failure) return error
  const root = rootOf(error)
  const code = Predicate.hasProperty(root, "_tag") ? codes[String(root._tag)] : undefined
  return new Failure({ code: code ?? exitCodes.unreachable, line: sentenceOf(root) })
}

/** A layer whose errors end the program. */
export const withFailure = <A, E, R>(
  layer: Layer.Layer<A, E, R>,
  failureOf: (error: E) => Failure = toFailure
): Layer.Layer<A, Failure, R> =>
  Layer.catch(layer, (error): Layer.Layer<A, Failure> => Layer.effectContext(Effect.fail(failureOf(error))))

/** At most 300 characters. */
export const toLine = (line: string): string => `perennial: ${brief(line, 289)}`

export const bugOf = (cause: Cause.Cause<unknown>): Failure =>
  new Failure({ code: exitCodes.bug, line: `This is a bug of perennial: ${String(cause)}` })
