/** A server ends orderly while clients of A2A read: streams end after a goodbye, and another process goes on with the tasks. */
import { NodeServices } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { makeDatabase, withPostgres } from "../../packages/backends/test/support/postgres.ts"
import * as Process from "../support/server.ts"
import * as A2a from "./clients/a2a.ts"
import { lines } from "./clients/a2aTask.ts"
import * as Proxy from "./proxy.ts"

withPostgres("an orderly end of a server", (postgres) => {
  it.live("P8: each client subscribes once more, and ends with the whole answer", () =>
    Effect.gen(function*() {
      const { url } = yield* makeDatabase(postgres)
      const server = Process.start({ module: "test/faces/process.ts", env: { STORE: url } })
      const [owner, other] = yield* Effect.all([server, server], { concurrency: 2 })
      // The owner executes all tasks: the other process cannot take them.
      yield* other.freeze
      let target = owner
      const { address, requests } = yield* Proxy.make(() => target.port, { cut: "hard", frames: () => Infinity })
      const callers = yield* Effect.forEach(A2a.bindings, (binding) => A2a.begin(address, binding))
      target = other
      yield* other.thaw
      yield* owner.terminate
      for (const task of yield* Effect.forEach(callers, Fiber.join)) {
        assert.match(lines(task).find(({ kind }) => kind === "text")?.value ?? "", /^word 0 .*word 99 $/s)
        yield* A2a.whole({ address }, [task])
      }
      // Two cards, two messages, two subscriptions, and the stored messages of both conversations.
      assert.lengthOf(requests(), 8)
    }).pipe(Effect.provide(NodeServices.layer)))
})
