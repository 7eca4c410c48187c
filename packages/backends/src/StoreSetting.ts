/**
 * A store as one line of text, such as `sqlite:.perennial/perennial.db`: what `PERENNIAL_STORE` of the server and `--store` of
 * the command line accept.
 *
 * A client library is loaded only when a setting needs it.
 *
 * @since 0.1.0
 */
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { WebhookStore } from "@perennial/domain/WebhookStore"
import { Effect, Layer, Option, Predicate, Redacted } from "effect"
import { SqlError } from "effect/sql"
import type * as PgStore from "./PgStore.ts"
import type * as RedisStore from "./RedisStore.ts"
import type * as SqliteStore from "./SqliteStore.ts"
import { UnusableStore } from "./UnusableStore.ts"

/**
 * Which store, and where it is. An address may have a password.
 *
 * @since 0.1.0
 * @category models
 */
export type StoreSetting =
  | { readonly type: "memory" }
  | { readonly type: "sqlite"; readonly path: string }
  | { readonly type: "postgres" | "redis"; readonly url: Redacted.Redacted }

/**
 * What `parse` accepts, for messages to people.
 *
 * @since 0.1.0
 * @category constants
 */
export const accepted = "memory, sqlite:<path> such as sqlite:.perennial/perennial.db, "
  + "postgres://<user>:<password>@<host>/<database>, or redis://<host>:<port>"

/**
 * Reads a setting. None if the text is not valid: see `accepted`.
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import * as StoreSetting from "@perennial/backends/StoreSetting"
 * import { Option } from "effect"
 *
 * StoreSetting.parse("sqlite:data.db") // => Option.some({ type: "sqlite", path: "data.db" })
 * StoreSetting.parse("mysql://127.0.0.1") // => Option.none()
 * ```
 *
 * @since 0.1.0
 * @category decoding
 */
export const parse = (value: string): Option.Option<StoreSetting> => {
  if (value === "memory") return Option.some({ type: "memory" })
  if (/^rediss?:\/\/\S+$/.test(value) && URL.canParse(value)) {
    return Option.some({ type: "redis", url: Redacted.make(value, { label: "redis" }) })
  }
  if (/^postgres(?:ql)?:\/\/\S+$/.test(value) && URL.canParse(value)) {
    return Option.some({ type: "postgres", url: Redacted.make(value, { label: "postgres" }) })
  }
  const path = value.startsWith("sqlite:") ? value.slice("sqlite:".length) : ""
  return path === "" ? Option.none() : Option.some({ type: "sqlite", path })
}

/**
 * A text without the password and the query that it has if it is an address. The text does not have to be a valid address.
 *
 * @since 0.1.0
 * @category formatting
 */
export const withoutPassword = (value: string): string =>
  value.replace(/\/\/.*@/s, "//<hidden>@").replace(/\?.*/s, "?<hidden>")

/**
 * The text of a setting, without its password.
 *
 * @since 0.1.0
 * @category formatting
 */
export const format = (setting: StoreSetting): string => {
  if (setting.type === "memory") return setting.type
  return setting.type === "sqlite" ? `sqlite:${setting.path}` : withoutPassword(Redacted.value(setting.url))
}

const wrappers = ["ConversationStoreError", "MigrationError", "RedisError", "TaskBackendError", "WebhookStoreError"]

/** Errors that only say in which operation the cause happened. */
const isWrapper = (error: unknown): error is { readonly cause: unknown } =>
  wrappers.some((tag) => Predicate.isTagged(error, tag)) && Predicate.hasProperty(error, "cause")
  && error.cause !== undefined

const whyReason = ({ cause, message }: { readonly cause?: unknown; readonly message: string }) =>
  cause instanceof Error ? cause.message : message

/**
 * Why a store failed: one line, from the error of a store, of a port, or of the client library below it.
 *
 * @since 0.1.0
 * @category formatting
 */
export const reasonOf = (error: unknown): string => {
  if (SqlError.isSqlError(error)) return whyReason(error.reason)
  if (isWrapper(error)) return reasonOf(error.cause)
  return error instanceof Error ? error.message : String(error)
}

const load = <A>(library: string, load: () => Promise<A>) =>
  Effect.tryPromise({
    try: load,
    catch: (error) =>
      new UnusableStore({
        problem: Predicate.hasProperty(error, "code") && error.code === "ERR_MODULE_NOT_FOUND"
          ? `the package ${library} is not installed`
          : reasonOf(error)
      })
  })

/**
 * The store of a setting. Tables that are missing are created.
 *
 * **Details** `applicationName` is the name by which PostgreSQL lists the connections; `perennial` by default.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  setting: StoreSetting,
  options?: { readonly applicationName?: string | undefined }
): Layer.Layer<
  TaskBackend | ConversationStore | WebhookStore,
  | UnusableStore
  | Layer.Error<ReturnType<typeof PgStore.layer>>
  | Layer.Error<ReturnType<typeof RedisStore.layer>>
  | Layer.Error<ReturnType<typeof SqliteStore.layer>>
> => {
  switch (setting.type) {
    case "memory":
      return MemoryStore.layer
    case "sqlite":
      return Layer.unwrap(
        Effect.map(
          load("node:sqlite", () => import("./SqliteStore.ts")),
          (store) => store.layer({ filename: setting.path })
        )
      )
    case "postgres":
      return Layer.unwrap(
        Effect.map(
          load("@effect/sql-pg", () => import("./PgStore.ts")),
          (store) => store.layer({ url: setting.url, applicationName: options?.applicationName ?? "perennial" })
        )
      )
    case "redis":
      return Layer.unwrap(
        Effect.map(
          load("redis", () => import("./RedisStore.ts")),
          (store) => store.layer({ url: Redacted.value(setting.url) })
        )
      )
  }
}
