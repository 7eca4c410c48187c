/**
 * Where the processes of one server are in a cluster, and how they reach the others and the store.
 */
import { Effect } from "effect"
import * as Engine from "../support/engine.ts"
import * as Link from "./link.ts"

export interface Runner {
  /** The variables of its processes. */
  readonly environment: Readonly<Record<string, string>>
  /** From the others to it, and from it to the store. */
  readonly links: { readonly toRunner: Link.Link; readonly toStore: Link.Link } | undefined
}

const make = Effect.gen(function*() {
  const port = yield* Engine.runnerPort
  const runner: Runner = { environment: { RUNNER_PORT: String(port) }, links: undefined }
  return runner
})

const makeLinked = Effect.fnUntraced(function*(store: string) {
  const listenPort = yield* Engine.runnerPort
  const toRunner = yield* Link.make(yield* Engine.runnerPort, listenPort)
  const url = new URL(store)
  const toStore = yield* Link.make(0, Number(url.port))
  url.port = String(toStore.port)
  const runner: Runner = {
    environment: { RUNNER_PORT: String(toRunner.port), RUNNER_LISTEN_PORT: String(listenPort), STORE: url.href },
    links: { toRunner, toStore }
  }
  return runner
})

/** A runner, with links that can fail or without. */
export const of = (store: string, linked: boolean) => linked ? makeLinked(store) : make
