/**
 * Webhooks of processes that are killed, and of several processes on one store. The receiver is real.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Queue } from "effect"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { Webhook } from "standardwebhooks"
import { makeDatabase, withPostgres } from "../../packages/backends/test/support/postgres.ts"
import * as Rest from "../support/rest.ts"
import * as Server from "../support/server.ts"
import { directory } from "../support/stores.ts"

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

interface Arrival {
  readonly id: string
  readonly taskId: string
  /** Answers with 204. Until then the sender waits. */
  readonly accept: Effect.Effect<void>
}

const accept = (response: ServerResponse) => Effect.sync(() => void response.writeHead(204).end())

/** A receiver that verifies signatures, as the library of Standard Webhooks does. `keys` has the secret of each path. */
const receiver = Effect.gen(function*() {
  const keys = new Map([["/hook", secret]])
  const arrivals = yield* Queue.unbounded<Arrival>()
  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const headers = request.headers as Record<string, string>
      const { data } = new Webhook(keys.get(request.url ?? "") ?? "").verify(
        Buffer.concat(chunks).toString(),
        headers
      ) as {
        readonly data: { readonly taskId: string }
      }
      Queue.offerUnsafe(arrivals, { id: headers["webhook-id"] ?? "", taskId: data.taskId, accept: accept(response) })
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  const { port } = server.address() as AddressInfo
  return { keys, arrival: Queue.take(arrivals), rest: Queue.size(arrivals), url: `http://127.0.0.1:${port}/hook` }
})

const start = (env: Readonly<Record<string, string>>, url: string) =>
  Server.start({ module: "test/support/webhookWorker.ts", env: { ...env, RECEIVER: url, SECRET: secret } })

const run = (address: string, message: string) => Rest.start(address, { message })

describe("webhooks across processes", () => {
  it.live(
    "killed in the middle of a delivery, the message is sent again after a restart, with the same id",
    () =>
      Effect.gen(function*() {
        const { arrival, rest, url } = yield* receiver
        const env = { FILE: join(yield* directory, "test.db") }
        const first = yield* start(env, url)
        const task = yield* run(first.address, "a 3")
        const interrupted = yield* arrival
        assert.strictEqual(interrupted.taskId, task)
        yield* first.kill

        const second = yield* start(env, url)
        const again = yield* arrival
        assert.deepInclude(again, { id: interrupted.id, taskId: task })
        yield* again.accept
        // An arrived message does not come again, and the next end is not lost.
        const next = yield* run(second.address, "b 3")
        const last = yield* arrival
        assert.strictEqual(last.taskId, next)
        yield* last.accept
        assert.strictEqual(yield* rest, 0)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )

  it.live(
    "killed before the end was turned into a message, the message is sent after a restart",
    () =>
      Effect.gen(function*() {
        const { arrival, url } = yield* receiver
        const env = { FILE: join(yield* directory, "test.db") }
        const first = yield* start(env, url)
        const ids = yield* Effect.forEach(["a 1", "b 1", "c 1", "d 1", "e 1"], (message) => run(first.address, message))
        yield* first.kill
        yield* start(env, url)
        const seen = new Set<string>()
        while (seen.size < ids.length) {
          const { accept, taskId } = yield* arrival
          seen.add(taskId)
          yield* accept
        }
        assert.deepStrictEqual([...seen].toSorted(), ids.toSorted())
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})

it.live(
  "the complete server tells a webhook of the settings, and one that was added over HTTP",
  () =>
    Effect.gen(function*() {
      const { arrival, keys, url } = yield* receiver
      const { address } = yield* Server.start({
        env: {
          PERENNIAL_STORE: "memory",
          PERENNIAL_WEBHOOK_PRIVATE: "true",
          PERENNIAL_WEBHOOK_URL: url,
          PERENNIAL_WEBHOOK_SECRETS: secret
        }
      })
      const added = yield* Rest.post(`${address}/webhooks`, { url: `${url}/mine`, topics: ["task.cancelled"] })
      assert.strictEqual(added.status, 201)
      keys.set("/hook/mine", added.body.secret)
      const task = yield* run(address, "Hello")
      yield* Rest.post(`${address}/tasks/${task}/cancel`)
      const both = [yield* arrival, yield* arrival]
      assert.deepStrictEqual(both.map(({ taskId }) => taskId), [task, task])
      assert.notStrictEqual(both[0]?.id, both[1]?.id)
      for (const { accept } of both) yield* accept
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
)

withPostgres("webhooks of two processes on PostgreSQL", (postgres) => {
  it.live(
    "each message arrives once; when the process that sends one is killed, the other process sends it",
    () =>
      Effect.gen(function*() {
        const { arrival, rest, url } = yield* receiver
        const { url: store } = yield* makeDatabase(postgres)
        const a = yield* start({ STORE: store }, url)
        const b = yield* start({ STORE: store }, url)
        const ids: Array<string> = []
        for (let i = 0; i < 20; i++) ids.push(yield* run(i % 2 === 0 ? a.address : b.address, `task-${i} 1`))
        const arrived: Array<Arrival> = []
        for (let i = 0; i < 20; i++) {
          const one = yield* arrival
          yield* one.accept
          arrived.push(one)
        }
        assert.deepStrictEqual(arrived.map(({ taskId }) => taskId).toSorted(), ids.toSorted())
        assert.strictEqual(new Set(arrived.map(({ id }) => id)).size, 20)
        assert.strictEqual(yield* rest, 0)

        // The other process stands still while this one claims the message.
        yield* b.freeze
        const task = yield* run(a.address, "last 1")
        const held = yield* arrival
        assert.strictEqual(held.taskId, task)
        yield* a.kill
        yield* b.thaw
        const taken = yield* arrival
        assert.deepInclude(taken, { id: held.id, taskId: task })
        yield* taken.accept
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
