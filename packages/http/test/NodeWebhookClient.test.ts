/** What a webhook client reaches: public addresses alone, unless it is told otherwise (no server-side request forgery). */
import { assert, describe, it } from "@effect/vitest"
import * as NodeWebhookClient from "@perennial/http/NodeWebhookClient"
import { WebhookClient } from "@perennial/http/WebhookClient"
import { Deferred, Effect, Result } from "effect"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo, LookupFunction } from "node:net"

/** A receiver on a loopback address, and what it got. */
const receiver = (answer: (request: IncomingMessage, response: ServerResponse) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly server: Server; readonly port: number; readonly got: Array<IncomingMessage> }>(
      (resume) => {
        const got: Array<IncomingMessage> = []
        const server = createServer((request, response) => {
          got.push(request)
          answer(request, response)
        })
        server.listen(0, "127.0.0.1", () => {
          resume(Effect.succeed({ server, got, port: (server.address() as AddressInfo).port }))
        })
      }
    ),
    ({ server }) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )

const post = (url: string, options?: NodeWebhookClient.Options) =>
  Effect.flatMap(WebhookClient, (client) => client.post({ url, headers: { "webhook-id": "m" }, body: "{}" })).pipe(
    Effect.result,
    Effect.provide(NodeWebhookClient.layer(options))
  )

const tagOf = (result: Result.Result<number, { readonly _tag: string }>) =>
  Result.isFailure(result) ? result.failure._tag : result.success

/** A resolver whose answers are these, one after the other: DNS rebinding. */
const resolver = (...answers: ReadonlyArray<ReadonlyArray<string>>) => {
  const asked: Array<string> = []
  const lookup: LookupFunction = (hostname, options, callback) => {
    const found = answers[Math.min(asked.length, answers.length - 1)] ?? []
    asked.push(hostname)
    const all = found.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }))
    if (options.all === true) callback(null, all)
    else callback(null, all[0]?.address ?? "", all[0]?.family ?? 4)
  }
  return { asked, lookup }
}

describe("the webhook client", () => {
  it.live("advisory: an internal address is refused, in whatever notation it is written", () =>
    Effect.gen(function*() {
      const { got, port } = yield* receiver((_, response) => response.end())
      for (
        const host of [
          "127.0.0.1",
          "127.1",
          "2130706433",
          "0x7f000001",
          "0177.0.0.1",
          "0.0.0.0",
          "[::1]",
          "[::]",
          "[::ffff:127.0.0.1]",
          "[::ffff:7f00:1]",
          "10.0.0.1",
          "172.16.0.1",
          "192.168.1.1",
          "100.64.0.1",
          "169.254.169.254",
          "100.100.100.200",
          "[fe80::1]",
          "[fd00:ec2::254]",
          "[64:ff9b::7f00:1]",
          "localhost",
          "a.localhost",
          "metadata.google.internal",
          "printer.local"
        ]
      ) {
        assert.strictEqual(tagOf(yield* post(`https://${host}:${port}/`)), "AddressRefused", host)
      }
      assert.strictEqual(tagOf(yield* post(`http://example.com/`)), "AddressRefused")
      assert.strictEqual(tagOf(yield* post(`https://user:password@example.com/`)), "AddressRefused")
      assert.strictEqual(tagOf(yield* post("file:///etc/passwd")), "AddressRefused")
      assert.strictEqual(tagOf(yield* post("not a URL")), "AddressRefused")
      assert.deepStrictEqual(got, [])
    }))

  it.live("advisory: a name is refused when any of its addresses is internal at the time of the connection", () =>
    Effect.gen(function*() {
      for (
        const address of [
          "127.0.0.1",
          "10.1.2.3",
          "169.254.169.254",
          "168.63.129.16",
          "0.0.0.0",
          "::1",
          "fe80::1",
          "fd00:ec2::254",
          "::ffff:127.0.0.1",
          "64:ff9b::a9fe:a9fe",
          "2002:7f00:1::"
        ]
      ) {
        const { asked, lookup } = resolver([address])
        assert.strictEqual(tagOf(yield* post("https://hook.example/", { lookup })), "AddressRefused", address)
        assert.deepStrictEqual(asked, ["hook.example"])
      }
      const { lookup } = resolver(["93.184.215.14", "127.0.0.1"])
      assert.strictEqual(tagOf(yield* post("https://hook.example/", { lookup })), "AddressRefused")
    }))

  it.live("advisory: a name that points elsewhere the second time gains nothing: the address that was checked is used", () =>
    Effect.gen(function*() {
      const { got, port } = yield* receiver((_, response) => response.end())
      // The documentation address is refused, too: no test leaves this machine. The second answer is never asked for.
      const { asked, lookup } = resolver(["192.0.2.1"], ["127.0.0.1"])
      assert.strictEqual(tagOf(yield* post(`https://hook.example:${port}/`, { lookup })), "AddressRefused")
      assert.strictEqual(asked.length, 1)
      const rebound = yield* Effect.gen(function*() {
        const client = yield* WebhookClient
        // Accepted by its text, and checked again at each request.
        yield* client.check(`https://hook.example:${port}/`)
        return yield* Effect.result(client.post({ url: `https://hook.example:${port}/`, headers: {}, body: "{}" }))
      }).pipe(Effect.provide(NodeWebhookClient.layer({ lookup })))
      assert.strictEqual(tagOf(rebound), "AddressRefused")
      assert.strictEqual(asked.length, 2)
      assert.deepStrictEqual(got, [])
    }))

  it.live("a redirect is an answer like any other: it is not followed", () =>
    Effect.gen(function*() {
      const target = yield* receiver((_, response) => response.end())
      const { got, port } = yield* receiver((_, response) => {
        response.writeHead(307, { location: `http://127.0.0.1:${target.port}/` }).end()
      })
      assert.strictEqual(tagOf(yield* post(`http://127.0.0.1:${port}/`, { allowPrivate: true })), 307)
      assert.strictEqual(got.length, 1)
      assert.deepStrictEqual(target.got, [])
    }))

  it.live("where private addresses are allowed, the request arrives with its headers, and no trace of this system", () =>
    Effect.gen(function*() {
      const { got, port } = yield* receiver((_, response) => response.writeHead(204).end())
      const sent = post(`http://127.0.0.1:${port}/hook?a=1`, { allowPrivate: true })
      assert.strictEqual(tagOf(yield* Effect.withSpan(sent, "test")), 204)
      const [request] = got
      assert.deepInclude(request, { method: "POST", url: "/hook?a=1" })
      assert.deepInclude(request?.headers, {
        "webhook-id": "m",
        "content-type": "application/json",
        "content-length": "2"
      })
      assert.notProperty(request?.headers, "traceparent")
      assert.notProperty(request?.headers, "b3")
    }))

  it.live("a receiver that never answers is given up after the time limit; one that is not there is no answer", () =>
    Effect.gen(function*() {
      const { port, server } = yield* receiver(() => {})
      const late = yield* post(`http://127.0.0.1:${port}/`, { allowPrivate: true, timeout: "50 millis" })
      assert.deepInclude(Result.isFailure(late) ? late.failure : undefined, { problem: "No answer within 50ms." })
      server.closeAllConnections()
      yield* Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
      })
      const gone = yield* post(`http://127.0.0.1:${port}/`, { allowPrivate: true })
      assert.match(Result.isFailure(gone) ? gone.failure.message : "", /ECONNREFUSED/)
    }))

  it.live("an answer without end is not read: its connection is closed once the status is known", () =>
    Effect.gen(function*() {
      const closed = yield* Deferred.make<number>()
      const chunk = Buffer.alloc(64 * 1024)
      const { port } = yield* receiver((_, response) => {
        let written = 0
        const pour = () => {
          do written += chunk.length
          while (response.write(chunk))
        }
        response.on("drain", pour)
        response.on("close", () => Deferred.doneUnsafe(closed, Effect.succeed(written)))
        response.writeHead(200)
        pour()
      })
      assert.strictEqual(tagOf(yield* post(`http://127.0.0.1:${port}/`, { allowPrivate: true })), 200)
      // What the buffers of the sockets hold.
      assert.isBelow(yield* Deferred.await(closed), 16 * 1024 * 1024)
    }))
})
