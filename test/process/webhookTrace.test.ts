import { NodeServices } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Effect, Layer } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as Collector from "../support/otlpCollector.ts"
import * as Server from "../support/server.ts"
import { directory } from "../support/stores.ts"

/** A receiver that refuses the first message, and accepts all others. It is given no trace: it is no part of the system. */
const receiver = Effect.gen(function*() {
  const received: Array<string> = []
  const server = createServer((request, response) => {
    received.push(JSON.stringify(request.headers))
    response.writeHead(received.length === 1 ? 500 : 204).end()
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
  return { received, url: `http://127.0.0.1:${port}/hook` }
})

it.live(
  "one trace from the request to the webhook: the process that sent the first attempt is killed, and another goes on",
  () =>
    Effect.gen(function*() {
      const { collector, url: otlp } = yield* Collector.listen
      const { received, url } = yield* receiver
      const fake = yield* FakeAnthropic
      yield* fake.push({ actions: [{ text: ["Hello."] }] })
      const env = {
        PERENNIAL_STORE: `sqlite:${yield* directory}/test.db`,
        PERENNIAL_OTLP: otlp,
        PERENNIAL_WEBHOOK_URL: url,
        PERENNIAL_WEBHOOK_SECRETS: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        PERENNIAL_WEBHOOK_PRIVATE: "true",
        ANTHROPIC_API_KEY: "key",
        ANTHROPIC_BASE_URL: fake.url,
        PERENNIAL_MODEL: "claude-test"
      }
      const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"
      const a = yield* Server.start({ env })
      const response = yield* Effect.promise((signal) =>
        fetch(`${a.address}/tasks`, {
          method: "POST",
          headers: { "content-type": "application/json", traceparent: `00-${traceId}-00f067aa0ba902b7-01` },
          body: JSON.stringify({ message: "Hello" }),
          signal
        })
      )
      assert.strictEqual(response.status, 201)
      const exported = (name: string, process: number) =>
        collector.span((span) => span.name === name && span.process === String(process))
      yield* exported("webhook task.completed", a.pid)
      yield* exported("task evergreen", a.pid)
      yield* a.kill
      const b = yield* Server.start({ env })
      yield* exported("webhook task.completed", b.pid)
      assert.deepStrictEqual(collector.tree(traceId, [a.pid, b.pid].map(String)), [
        "POST [A]",
        "  TaskManager.start [A]",
        "    task evergreen [A]",
        "      task.queue [A]",
        "      invoke_agent evergreen [A]",
        "        chat claude-test [A]",
        "    webhook task.completed [A] The message did not arrive.",
        "    webhook task.completed [B]"
      ])
      assert.strictEqual(received.length, 2)
      assert.notInclude(received.join(), traceId)
      assert.notInclude(collector.bodies.filter((body) => body.includes("resourceSpans")).join(), "/hook")
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(FakeAnthropic.layer, NodeServices.layer)))
)
