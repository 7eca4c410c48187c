import { assert, describe, it } from "@effect/vitest"
import { UserId } from "@perennial/domain/Ids"
import * as Authorization from "@perennial/http/Authorization"
import * as Tokens from "@perennial/http/Tokens"
import { ConfigProvider, Effect, Option, Redacted } from "effect"
import { body, type Call, json, layerTokens, makeCall, post } from "./support.ts"

const as = (user: string) => ({ authorization: `Bearer ${user}-secret` })
const status = (response: Effect.Effect<Response>) => Effect.flatMap(response, (_) => Effect.as(body(_), _.status))

const start = Effect.fnUntraced(function*(call: Call, user: string, message = "a b c") {
  return (yield* json(yield* call("/tasks", post({ message, conversationId: `${user}-1` }, as(user))))).id as string
})

describe("tokens", () => {
  it.effect("a request without a token, or with a wrong token, is answered 401", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      for (
        const headers of [
          {},
          { authorization: "Bearer wrong" },
          { authorization: "Bearer alice-secre" },
          { authorization: "Bearer alice-secrets" },
          { authorization: "Basic YWxpY2U6YWxpY2Utc2VjcmV0" },
          { cookie: "access_token=wrong" }
        ]
      ) {
        const response = yield* call("/tasks", { headers })
        assert.strictEqual(response.status, 401)
        // RFC 6750, section 3.1: no error code where the request has no token.
        const hasToken = Object.values(headers).some((value) => /^Bearer|access_token/.test(value))
        assert.strictEqual(
          response.headers.get("www-authenticate"),
          hasToken ? `Bearer error="invalid_token"` : "Bearer"
        )
        assert.strictEqual((yield* json(response)).type, "urn:perennial:problem:unauthorized")
      }
      assert.strictEqual(yield* status(call("/tasks", { headers: as("alice") })), 200)
    }))

  it.effect("an EventSource may send its token as a cookie or in the query", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      const id = yield* start(call, "alice")
      const byQuery = yield* body(yield* call(`/tasks/${id}/events?access_token=alice-secret`))
      const byCookie = yield* body(
        yield* call(`/tasks/${id}/events`, { headers: { cookie: "access_token=alice-secret" } })
      )
      assert.include(byQuery, "\"type\":\"done\"")
      assert.strictEqual(byCookie, byQuery)
    }))

  it.effect("only a 401 has `WWW-Authenticate`: no other answer has it, whichever credential the request had", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      const cookie = { cookie: "access_token=alice-secret" }
      const answers: ReadonlyArray<readonly [number, Effect.Effect<Response>]> = [
        [200, call("/tasks?access_token=alice-secret")],
        [200, call("/tasks", { headers: cookie })],
        [404, call("/tasks/none", { headers: cookie })],
        [403, call("/tasks", post({ message: "a" }, { ...cookie, origin: "https://evil.example" }))]
      ]
      for (const [expected, answer] of answers) {
        const response = yield* answer
        yield* body(response)
        assert.strictEqual(response.status, expected)
        assert.isNull(response.headers.get("www-authenticate"))
      }
    }))

  it.effect("a cookie is accepted for writes only from the same origin", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      const write = (origin: Record<string, string>) =>
        status(call("/tasks", post({ message: "a" }, { cookie: "access_token=alice-secret", ...origin })))
      assert.strictEqual(yield* write({ origin: "http://localhost:3000" }), 201)
      assert.strictEqual(yield* write({ origin: "http://localhost:3001" }), 403)
      assert.strictEqual(yield* write({ origin: "https://evil.example" }), 403)
      assert.strictEqual(yield* write({ origin: "null" }), 403)
      assert.strictEqual(yield* write({}), 403)
      assert.strictEqual(yield* write({ origin: "https://evil.example", ...as("alice") }), 201)
    }))

  it.effect("P12, SCENARIO 32: tasks and conversations of another user are answered 404", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      const id = yield* start(call, "alice", "hold")
      const others: ReadonlyArray<readonly [string, RequestInit]> = [
        [`/tasks/${id}`, {}],
        [`/tasks/${id}/events`, {}],
        [`/tasks/${id}/events?after=1`, {}],
        [`/tasks/${id}/events`, { headers: { accept: "application/json" } }],
        [`/tasks/${id}/cancel`, post({})],
        [`/tasks/${id}/decisions/call`, post({ approved: true })],
        ["/conversations/alice-1", {}],
        ["/conversations/alice-1/messages", {}],
        ["/conversations/alice-1", { method: "DELETE" }],
        ["/tasks", post({ message: "a", conversationId: "alice-1" })]
      ]
      for (const [path, init] of others) {
        const response = yield* call(path, { ...init, headers: { ...init.headers, ...as("bob") } })
        assert.strictEqual(response.status, 404, `${init.method ?? "GET"} ${path}`)
        yield* body(response)
      }
      assert.deepStrictEqual((yield* json(yield* call("/tasks", { headers: as("bob") }))).items, [])
      assert.deepStrictEqual((yield* json(yield* call("/conversations", { headers: as("bob") }))).items, [])
      assert.include(["queued", "running"], (yield* json(yield* call(`/tasks/${id}`, { headers: as("alice") }))).status)
    }))
})

describe("a credential that ends", () => {
  it.effect("P12: ends the event stream that it has opened, before the next event", () =>
    Effect.gen(function*() {
      const alice = { userId: UserId.make("alice") }
      const auth = Authorization.layerVerify((credential) =>
        // The second credential was valid when it was checked, and ends at once.
        Effect.succeedSome(Redacted.value(credential) === "long" ? alice : { ...alice, expiresAt: 0 })
      )
      const call = yield* makeCall({ auth })
      const long = { authorization: "Bearer long" }
      const { id } = yield* json(yield* call("/tasks", post({ message: "a" }, long)))
      assert.include(yield* body(yield* call(`/tasks/${id}/events`, { headers: long })), "\"type\":\"done\"")
      const ended = yield* call(`/tasks/${id}/events`, { headers: { authorization: "Bearer short" } })
      assert.strictEqual(yield* body(ended), ": ok\n\nretry: 1000\n\n")
    }))
})

describe("without tokens", () => {
  it.effect("only requests with a loopback `Host` are answered", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const get = (host: string) => status(call("/tasks", { headers: { host } }))
      for (const host of ["localhost:3000", "127.0.0.1:3000", "[::1]:3000", "LOCALHOST", "app.localhost"]) {
        assert.strictEqual(yield* get(host), 200, host)
      }
      for (const host of ["evil.example:3000", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", ""]) {
        assert.strictEqual(yield* get(host), 403, host)
      }
    }))

  it.effect("writes of browsers must come from pages of this server", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const write = (origin: Record<string, string>) => status(call("/tasks", post({ message: "a" }, origin)))
      assert.strictEqual(yield* write({}), 201)
      assert.strictEqual(yield* write({ origin: "http://localhost:3000" }), 201)
      assert.strictEqual(yield* write({ origin: "http://localhost:5173" }), 403)
      assert.strictEqual(yield* write({ origin: "https://evil.example" }), 403)
    }))
})

describe("PERENNIAL_TOKENS", () => {
  const read = (value?: string) =>
    Tokens.config().parse(ConfigProvider.fromUnknown(value === undefined ? {} : { PERENNIAL_TOKENS: value }))

  it.effect("is a list of users and their tokens", () =>
    Effect.gen(function*() {
      const tokens = Option.getOrThrow(yield* read("alice:s1, bob:s:2,alice:s3"))
      assert.deepStrictEqual(
        tokens.map(({ secret, userId }) => [userId, Redacted.value(secret)]),
        [["alice", "s1"], ["bob", "s:2"], ["alice", "s3"]]
      )
      assert.isTrue(Option.isNone(yield* read()))
      assert.isTrue(Option.isNone(yield* read("")))
    }))

  it.effect("a wrong value is refused with a message that shows no secret", () =>
    Effect.gen(function*() {
      for (
        const value of [
          "s3cret",
          "alice:s3cret,bob",
          ":s3cret",
          "al\u0007ice:s3cret",
          "alice:",
          "alice:s3cret,bob:s3cret"
        ]
      ) {
        const { message } = yield* Effect.flip(read(value))
        assert.include(message, "PERENNIAL_TOKENS: entry")
        assert.include(message, "Expected <user>:<token>")
        assert.notInclude(message, "s3cret")
      }
    }))
})
