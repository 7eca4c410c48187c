/**
 * The problems that clients see for the errors of the domain.
 */
import type * as TaskError from "@perennial/domain/TaskError"
import type { WebhookStoreError } from "@perennial/domain/WebhookStore"
import { Effect } from "effect"
import * as Problems from "../Problems.ts"
import { type Twins, twins } from "./twins.ts"

type StoreFailure =
  | TaskError.StreamLost
  | TaskError.TaskBackendError
  | TaskError.ConversationStoreError
  | WebhookStoreError

const stores: Readonly<Record<StoreFailure["_tag"], string>> = {
  StreamLost: "tasks",
  TaskBackendError: "tasks",
  ConversationStoreError: "conversations",
  WebhookStoreError: "webhooks"
}

/** Every error that a handler may fail with. */
export type Failure =
  | { readonly [Tag in keyof Twins]: (typeof TaskError)[Tag]["Type"] }[keyof Twins]
  | TaskError.InvalidInput
  | StoreFailure

/** The problem for an error. */
type ProblemOf<E extends Failure> = E extends { readonly _tag: infer Tag extends keyof Twins }
  ? InstanceType<Twins[Tag]>
  : E extends TaskError.InvalidInput ? Problems.InvalidRequest
  : Problems.Unavailable

const unavailable = (error: StoreFailure) =>
  new Problems.Unavailable({
    detail: `The store of ${stores[error._tag]} did not answer. Try again; starts are safe to repeat with the same `
      + "idempotency key."
  })

const toProblem = (error: Failure) => {
  switch (error._tag) {
    case "InvalidInput":
      return new Problems.InvalidRequest({
        detail: error.message,
        errors: [{ path: ["payload", error.field], message: error.problem }]
      })
    case "StreamLost":
    case "TaskBackendError":
    case "ConversationStoreError":
    case "WebhookStoreError":
      return unavailable(error)
    default: {
      // The tag selects the twin, which is made of this error's own fields. TypeScript does not follow that in a union.
      const Twin = twins[error._tag] as new(fields: object) => InstanceType<Twins[keyof Twins]>
      return new Twin({ ...error, detail: error.message })
    }
  }
}

/** Turns errors into their problems. The cause of a store's error is logged, and no problem mentions it (P12). */
export const withProblems = <A, E extends Failure, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, ProblemOf<E>, R> =>
  Effect.catch(self, (error) => {
    // `ProblemOf` says for each tag what `toProblem` returns for it.
    const problem = Effect.fail(toProblem(error) as ProblemOf<E>)
    return Object.hasOwn(stores, error._tag) && error._tag !== "StreamLost"
      ? Effect.andThen(Effect.logError(error.message, error), problem)
      : problem
  })
