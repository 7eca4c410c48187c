/** The errors of the domain for the problems that requests fail with: the way back from `withProblems`. */
import * as TaskError from "@perennial/domain/TaskError"
import { Effect, type Schema } from "effect"
import type { HttpClientError } from "effect/http"
import type * as Problems from "../Problems.ts"
import { type Twins, twins } from "./twins.ts"

type Twin = InstanceType<Twins[keyof Twins]>

/** What a request may fail with. */
type Failure =
  | Twin
  | TaskError.InvalidInput
  | HttpClientError.HttpClientError
  | Schema.SchemaError
  | Problems.InvalidRequest
  | Problems.PayloadTooLarge
  | Problems.UnsupportedMediaType
  | Problems.InternalError
  | Problems.Unauthorized
  | Problems.Forbidden
  | Problems.RateLimited
  | Problems.TooManyStreams
  | Problems.TooManyUserStreams
  | Problems.OperatorOnly
  | Problems.RouteNotFound
  | Problems.Unavailable

/** The error of the domain for a failure. */
type ErrorOf<E> = E extends { readonly _tag: infer Tag extends keyof Twins } ? (typeof TaskError)[Tag]["Type"]
  : E extends TaskError.InvalidInput ? E
  : TaskError.TaskBackendError

const errors: Pick<typeof TaskError, keyof Twins> = TaskError

const isTwin = (error: Failure): error is Twin => Object.hasOwn(twins, error._tag)

const toTaskError = (operation: string, error: Failure) => {
  if (error._tag === "InvalidInput") return error
  if (!isTwin(error)) return new TaskError.TaskBackendError({ operation, cause: error })
  // The tag selects the error, which has the fields of this problem. TypeScript does not follow that in a union.
  const Twin = errors[error._tag] as new(fields: object) => (typeof TaskError)[keyof Twins]["Type"]
  return new Twin(error)
}

/** Turns problems into the errors of the domain. What has none is a `TaskBackendError` with the problem as its `cause`. */
export const withTaskErrors =
  (operation: string) => <A, E extends Failure, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, ErrorOf<E>, R> =>
    // `ErrorOf` says for each tag what `toTaskError` returns for it.
    Effect.mapError(self, (error) => toTaskError(operation, error) as ErrorOf<E>)

const toInvalidInput = (error: Problems.InvalidRequest | Problems.PayloadTooLarge) => {
  if (error._tag === "PayloadTooLarge") {
    return new TaskError.InvalidInput({
      field: "input",
      problem: `is larger than the server accepts: at most ${error.limitBytes} bytes of JSON`
    })
  }
  const [first] = error.errors
  return new TaskError.InvalidInput({
    // The first segment is the part of the request.
    field: first?.path.slice(1).join(".") ?? "input",
    problem: first?.message ?? error.message
  })
}

type Refusal = Problems.InvalidRequest | Problems.PayloadTooLarge

/** For requests that carry what a caller gives: the server may refuse it. */
export const withInvalidInput = <A, E extends Failure, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, Exclude<E, Refusal> | TaskError.InvalidInput, R> =>
  Effect.mapError(self, (error) =>
    error._tag === "InvalidRequest" || error._tag === "PayloadTooLarge"
      ? toInvalidInput(error)
      // The tags of both refusals are excluded above.
      : error as Exclude<E, Refusal>)
