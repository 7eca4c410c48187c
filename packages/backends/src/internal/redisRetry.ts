/**
 * How an operation on Redis is retried.
 */
import { Predicate } from "effect"
import type { Redis } from "effect/persistence"
import { make } from "./storeRetry.ts"

/** Sends a command over one connection. */
export type Send = Redis.Redis["Service"]["send"]

export const isRedisError = (error: unknown): error is Redis.RedisError => Predicate.isTagged(error, "RedisError")

/**
 * Replies of a server that may be ready in a moment: it loads its data, runs a script, changes its role, or accepts no writes,
 * because its memory or its disk is full, or because it has too few replicas.
 */
const passing = /^(?:LOADING|BUSY|MASTERDOWN|READONLY|TRYAGAIN|OOM|MISCONF|NOREPLICAS)\b/

/** The text of an error. Redis before version 7 writes the reply to a command of a script behind a text of its own. */
export const messageOf = ({ cause }: Redis.RedisError): string =>
  (Predicate.hasProperty(cause, "message") ? String(cause.message) : String(cause)).replace(
    /^ERR Error running script.*?: -(?=[A-Z]+ )/s,
    ""
  )

/** Whether an error is a reply of the server: a code in capitals, then a text. */
export const isReply = (error: Redis.RedisError): boolean => /^[A-Z]+ /.test(messageOf(error))

/** Whether the server is a replica. After a fail-over a new connection reaches the primary. */
export const isReadOnly = (error: Redis.RedisError): boolean => messageOf(error).startsWith("READONLY")

/** Whether the same command may succeed in a moment: the connection failed, or the server is not ready yet. */
export const isTransient = (error: Redis.RedisError): boolean => !isReply(error) || passing.test(messageOf(error))

/** Without a time limit: a connection fails by itself when the server does not answer. */
export const withRetries = make({ isFailure: isRedisError, isTransient })
