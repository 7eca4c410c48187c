/**
 * Weaknesses that were published of servers for agents, as requests to this one. Each test says what the weak server does, so that
 * the test fails by construction on a server that does it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Agents } from "@perennial/domain/Agent"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import { WebhookStore } from "@perennial/domain/WebhookStore"
import { Api } from "@perennial/http/Api"
import * as NodeWebhookClient from "@perennial/http/NodeWebhookClient"
import * as Server from "@perennial/http/Server"
import * as Webhooks from "@perennial/http/Webhooks"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Effect, Layer, Queue } from "effect"
import type { HttpApiEndpoint } from "effect/http-api"
import { createServer } from "node:http"
import type { AddressInfo, LookupFunction } from "node:net"
import { body, type Call, discard, json, layerTokens, makeCall, makeEcho, post, problem } from "./support.ts"

const as = (user: string) => ({ authorization: `Bearer ${user}-secret` })

const secret = "only alice knows this"

/** Runs a task of a user to its end. */
const run = Effect.fnUntraced(function*(call: Call, user: string, input: object) {
  const task = yield* json(yield* call("/tasks", post(input, as(user))))
  yield* body(yield* call(`/tasks/${task.id}/events`, { headers: as(user) }))
  return task
})

describe("users", () => {
  // The weak server takes the owner of a new resource from the request.
  it.effect("advisory: a resource is created under the id of another user", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      const { conversationId, id } = yield* run(call, "alice", { message: secret })
      const intruding = yield* call("/tasks", post({ message: "b", conversationId }, as("bob")))
      assert.strictEqual((yield* problem(intruding)).type, "urn:perennial:problem:conversation-not-found")
      const owners = { userId: "alice", user_id: "alice", owner: "alice", metadata: { userId: "alice" } }
      for (const headers of [{}, { "x-user-id": "alice", "x-forwarded-user": "alice", "x-perennial-user": "alice" }]) {
        const claimed = yield* run(call, "bob", { message: "b", ...owners })
        const again = yield* json(
          yield* call("/tasks?userId=alice", post({ message: "b", ...owners }, { ...as("bob"), ...headers }))
        )
        for (const task of [claimed, again]) {
          assert.strictEqual((yield* problem(yield* call(`/tasks/${task.id}`, { headers: as("alice") }))).status, 404)
          assert.strictEqual((yield* call(`/tasks/${task.id}`, { headers: as("bob") })).status, 200)
        }
      }
      const mine = yield* json(yield* call("/tasks", { headers: as("alice") }))
      assert.deepStrictEqual(mine.items.map((task) => task.id), [id])
    }))

  // The weak server lets a filter of the client replace or escape the filter by owner.
  it.effect("advisory: threads are readable past the filter by owner", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      const { conversationId, id } = yield* run(call, "alice", { message: secret, metadata: { owner: "alice" } })
      yield* run(call, "bob", { message: "b" })
      const quoted = encodeURIComponent("' OR '1'='1")
      const union = encodeURIComponent("x') UNION SELECT * FROM perennial_tasks --")
      const lists = [
        "/tasks?userId=alice",
        "/tasks?user_id=alice&userId=alice",
        "/tasks?metadata[owner]=alice",
        "/tasks?filter={\"owner\":\"alice\"}",
        `/tasks?conversationId=${conversationId}`,
        `/tasks?conversationId=${quoted}`,
        `/tasks?conversationId=${union}`,
        `/tasks?before=${id}`,
        `/tasks?before=${quoted}`,
        "/tasks?status=completed&status=queued&status=running",
        "/conversations?userId=alice",
        "/conversations?metadata.owner=alice",
        "/feed",
        "/approvals?userId=alice"
      ]
      for (const path of lists.filter((path) => path !== "/feed")) {
        const text = yield* body(yield* call(path, { headers: as("bob") }))
        assert.notInclude(text, secret, path)
        assert.notInclude(text, id, path)
        // A conversation that the request itself names may be named in the answer.
        if (!path.includes(conversationId)) assert.notInclude(text, conversationId, path)
      }
      for (
        const path of [
          `/tasks/${id}`,
          `/tasks/${id}/events?after=0`,
          `/conversations/${conversationId}`,
          `/conversations/${conversationId}/messages`,
          `/conversations/${quoted}/messages`,
          `/tasks/${union}/events`
        ]
      ) {
        const answer = yield* problem(yield* call(path, { headers: as("bob") }))
        assert.strictEqual(answer.status, 404, path)
        assert.notInclude(JSON.stringify(answer), secret)
      }
    }))

  // The weak server keeps a cache, a key or a thread that is named by the client alone, for all users together.
  it.effect("advisory: one store is shared between users", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      const keyed = (user: string, message: string) =>
        Effect.flatMap(
          call("/tasks", post({ message }, { ...as(user), "idempotency-key": "the same key" })),
          (response) => Effect.map(json(response), (task) => ({ ...task, code: response.status }))
        )
      const [hers, his] = [yield* keyed("alice", secret), yield* keyed("bob", secret)]
      assert.deepStrictEqual([hers.code, his.code], [201, 201])
      assert.notStrictEqual(hers.id, his.id)
      assert.notStrictEqual(hers.conversationId, his.conversationId)
      for (const [user, own, foreign] of [["alice", hers, his], ["bob", his, hers]] as const) {
        const { items } = yield* json(yield* call("/tasks", { headers: as(user) }))
        assert.deepStrictEqual(items.map((task) => task.id), [own.id])
        const conversations = yield* json(yield* call("/conversations", { headers: as(user) }))
        assert.deepStrictEqual(conversations.items.map((one) => one.id), [own.conversationId])
        const removal = yield* call(`/conversations/${foreign.conversationId}`, { method: "DELETE", headers: as(user) })
        assert.strictEqual((yield* problem(removal)).status, 404)
      }
    }))
})

/** A receiver in the network of the server. It must get nothing. */
const internal = Effect.acquireRelease(
  Effect.callback<{ readonly close: () => void; readonly port: number; readonly got: Array<string> }>((resume) => {
    const got: Array<string> = []
    const server = createServer((request, response) => {
      got.push(request.url ?? "")
      response.end()
    })
    const close = () => {
      server.closeAllConnections()
      server.close()
    }
    server.listen(0, "127.0.0.1", () => {
      resume(Effect.succeed({ close, got, port: (server.address() as AddressInfo).port }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

/** A resolver that answers the first request with one address, and all later ones with another: DNS rebinding. */
const rebinding = (...addresses: readonly [string, string]): LookupFunction => {
  let asked = 0
  return (_, options, callback) => {
    const address = addresses[Math.min(asked++, 1)] ?? ""
    const family = address.includes(":") ? 6 : 4
    if (options.all === true) callback(null, [{ address, family }])
    else callback(null, address, family)
  }
}

describe("webhooks", () => {
  // The weak server connects to whatever address a user enters, or checks its text alone.
  it.live("advisory: a webhook has the address of an internal service, in any notation", () =>
    Effect.gen(function*() {
      const { got, port } = yield* internal
      const call = yield* makeCall({ auth: Layer.merge(layerTokens, NodeWebhookClient.layer()) })
      const good = yield* json(yield* call("/webhooks", post({ url: "https://example.com/" }, as("alice"))))
      for (
        const host of [
          "127.0.0.1",
          "127.1",
          "2130706433",
          "0x7f.1",
          "0177.0.0.1",
          "[::1]",
          "[::ffff:127.0.0.1]",
          "[::ffff:a9fe:a9fe]",
          "[64:ff9b::7f00:1]",
          "169.254.169.254",
          "10.0.0.8",
          "localhost",
          "metadata.google.internal",
          "user:password@example.com"
        ]
      ) {
        const url = `https://${host}:${port}/hook`
        const added = yield* problem(yield* call("/webhooks", post({ url }, as("alice"))))
        assert.strictEqual(added.type, "urn:perennial:problem:invalid-request", host)
        const changed = yield* call(`/webhooks/${good.id}`, { ...post({ url }, as("alice")), method: "PATCH" })
        assert.strictEqual((yield* problem(changed)).status, 400, host)
      }
      for (const url of [`http://127.0.0.1:${port}/`, `http://example.com/`, "file:///etc/passwd", "gopher://a/"]) {
        assert.strictEqual((yield* problem(yield* call("/webhooks", post({ url }, as("alice"))))).status, 400, url)
      }
      assert.deepStrictEqual(got, [])
    }))

  // The weak server resolves a name to check it, and again to connect.
  const names = [
    { what: "is internal", addresses: ["127.0.0.1", "127.0.0.1"] },
    { what: "is an IPv6 address that contains an internal one", addresses: ["::ffff:127.0.0.1", "::ffff:127.0.0.1"] },
    // The documentation address is refused, too: no test leaves this machine.
    { what: "becomes internal after the check", addresses: ["192.0.2.1", "127.0.0.1"] }
  ] as const
  for (const { addresses, what } of names) {
    it.live(`advisory: the name of a webhook ${what}`, () =>
      Effect.gen(function*() {
        const { got, port } = yield* internal
        const settled = yield* Queue.unbounded<string>()
        const memory = yield* Layer.build(Layer.fresh(MemoryStore.layer))
        const store = Context.get(memory, WebhookStore)
        const watched = Layer.merge(
          Layer.succeedContext(memory),
          Layer.succeed(WebhookStore, {
            ...store,
            settle: (claim, outcome) =>
              Effect.andThen(store.settle(claim, outcome), Queue.offer(settled, outcome.type)).pipe(Effect.asVoid)
          })
        )
        const services = Layer.merge(
          watched,
          NodeWebhookClient.layer({ lookup: rebinding(addresses[0], addresses[1]) })
        )
        const { handler } = yield* Effect.acquireRelease(
          Effect.sync(() =>
            Server.toWebHandler(
              Layer.mergeAll(
                TaskRuntime.layer.pipe(Layer.provide(Agents.layer([makeEcho().agent]))),
                Webhooks.layer({ interval: "10 millis" }),
                layerTokens
              ).pipe(Layer.provideMerge(services))
            )
          ),
          ({ dispose }) => Effect.promise(dispose)
        )
        const call: Call = (path, init) =>
          Effect.promise(() => handler(new Request(`http://localhost:3000${path}`, init)))
        const hook = yield* json(
          yield* call("/webhooks", post({ url: `https://hook.example:${port}/` }, as("alice")))
        )
        yield* run(call, "alice", { message: "a" })
        assert.strictEqual(yield* Queue.take(settled), "failed")
        const waiting = yield* body(yield* call(`/webhooks/${hook.id}/deliveries`, { headers: as("alice") }))
        assert.include(waiting, "The address is private, or is not reachable from the internet.")
        assert.notInclude(waiting, "127.0.0.1")
        assert.deepStrictEqual(got, [])
      }))
  }
})

const endpoints = Object.values(Api.groups).flatMap((group) =>
  Object.values<HttpApiEndpoint.Top>(group.endpoints).map(({ method, path }) => ({
    method,
    path: path.replaceAll(/:\w+/g, "x")
  }))
)

describe("browsers", () => {
  // The weak server mirrors the origin, or answers `*`, and accepts cookies: any page reads and writes as the user.
  it.effect("advisory: CORS with credentials is open to every origin", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      for (const origin of ["https://evil.example", "null", "http://localhost:3000.evil.example"]) {
        const headers = { origin, cookie: "access_token=alice-secret", "content-type": "application/json" }
        for (const { method, path } of endpoints) {
          const preflight = yield* call(path, {
            method: "OPTIONS",
            headers: {
              origin,
              "access-control-request-method": method,
              "access-control-request-headers": "authorization"
            }
          })
          const request = yield* call(path, {
            method,
            headers,
            ...(method === "GET" ? undefined : { body: JSON.stringify({ message: "a" }) })
          })
          for (const response of [preflight, request]) {
            for (const name of response.headers.keys()) assert.notMatch(name, /^access-control-/, `${method} ${path}`)
            yield* discard(response)
          }
          if (method !== "GET") assert.strictEqual(request.status, 403, `${method} ${path}`)
        }
      }
      assert.deepStrictEqual((yield* json(yield* call("/tasks", { headers: as("alice") }))).items, [])
    }))
})

describe("streams", () => {
  // The weak server has one public token for all streams, or checks that a token is good but not for what.
  it.effect("advisory: a stream is readable with a public token, or with the ticket of another task", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      const { conversationId, id } = yield* run(call, "alice", { message: secret })
      const second = yield* run(call, "alice", { message: "a" })
      const other = yield* run(call, "bob", { message: "b" })
      const ticketFor = (user: string, taskId?: string) =>
        Effect.map(
          Effect.flatMap(call("/tickets", post(taskId === undefined ? {} : { taskId }, as(user))), json),
          ({ ticket }) => ticket
        )
      const [ofBob, ofBobsTask] = [yield* ticketFor("bob"), yield* ticketFor("bob", other.id)]
      const ofSecond = yield* ticketFor("alice", second.id)
      const [content = "", tag = ""] = ofSecond.split(".")
      const [foreign = ""] = ofBob.split(".")
      for (
        const [ticket, status] of [
          [ofBob, 404],
          [ofBobsTask, 401],
          [ofSecond, 401],
          [`${foreign}.${tag}`, 401],
          [`${content}.`, 401],
          ["public", 401],
          ["alice-secret", 401],
          ["", 401]
        ] as const
      ) {
        const refused = yield* problem(yield* call(`/tasks/${id}/events?ticket=${ticket}`))
        assert.strictEqual(refused.status, status, ticket)
        assert.notInclude(JSON.stringify(refused), secret)
        // A ticket is no token: it opens nothing as a header, as a cookie or as a parameter of a token.
        for (
          const [path, headers] of [
            [`/tasks/${id}/events`, { authorization: `Bearer ${ticket}` }],
            [`/tasks/${id}/events`, { cookie: `access_token=${ticket}` }],
            [`/tasks/${id}/events?access_token=${ticket === "alice-secret" ? "" : ticket}`, {}],
            [`/conversations/${conversationId}/messages?ticket=${ticket}`, {}]
          ] as const
        ) {
          if (ticket === "alice-secret" && path.endsWith("/events")) continue
          assert.strictEqual((yield* problem(yield* call(path, { headers }))).status, 401, `${path} ${ticket}`)
        }
      }
      assert.strictEqual((yield* problem(yield* call(`/tasks/${id}/events`))).status, 401)
      assert.strictEqual((yield* problem(yield* call("/feed"))).status, 401)
    }))
})
