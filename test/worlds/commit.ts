/** A write that succeeded: its method, its arguments and its result, as the port declares them. */
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { Effect } from "effect"

type Backend = TaskBackend["Service"]

const methods = [
  "create",
  "claim",
  "append",
  "finish",
  "release",
  "heartbeat",
  "putIntent",
  "prune",
  "deleteConversation"
] as const

type Method = (typeof methods)[number]

type Result<M extends Method> = Effect.Success<ReturnType<Backend[M]>>

/** A call of a method that writes. */
export type Write = { readonly [M in Method]: { readonly method: M; readonly args: Parameters<Backend[M]> } }[Method]

/** `n` is the place of the commit in the order of all commits, from 0. `at` is the store's time. */
export type Commit = {
  readonly [M in Method]: {
    readonly method: M
    readonly args: Parameters<Backend[M]>
    readonly value: Result<M>
    readonly n: number
    readonly at: number
    readonly process: string
  }
}[Method]

const writes: ReadonlySet<string> = new Set(methods)

export const isWrite = (method: string): method is Method => writes.has(method)

/** The arguments are those of the method: they come from a call of the port. */
export const writeOf = (method: Method, args: ReadonlyArray<unknown>): Write => ({ method, args }) as unknown as Write
