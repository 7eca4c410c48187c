import { assert, describe, it } from "@effect/vitest"
import { UserId } from "@perennial/domain/Ids"
import * as Tokens from "@perennial/http/Tokens"
import { Effect, Redacted } from "effect"
import { json, makeCall, problem } from "./support.ts"

const users = Tokens.layer([
  { userId: UserId.make("alice"), secret: Redacted.make("secret") },
  { userId: UserId.make("olga"), secret: Redacted.make("other"), roles: ["operator"] }
])
const own = { host: "localhost", origin: "http://localhost" }
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const write = (headers: Record<string, string>) => ({ method: "POST", headers })

describe("account", () => {
  it.effect("says who the user is", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: users })
      const me = (token: string) => Effect.flatMap(call("/me", { headers: bearer(token) }), json)
      assert.deepStrictEqual<unknown>(yield* me("secret"), { userId: "alice", roles: [] })
      assert.deepStrictEqual<unknown>(yield* me("other"), { userId: "olga", roles: ["operator"] })
      assert.strictEqual((yield* call("/me")).status, 401)
    }))

  it.effect("a page signs in with its token once, and is signed in until it signs out", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: users })
      const signedIn = yield* call("/sign-in", write({ ...own, ...bearer("secret") }))
      assert.strictEqual(signedIn.status, 204)
      const cookie = signedIn.headers.get("set-cookie") ?? ""
      assert.match(cookie, /^access_token=secret; /)
      for (const attribute of ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"]) {
        assert.include(cookie, attribute)
      }
      // A loopback address: not all browsers would send a `Secure` cookie there.
      assert.notInclude(cookie, "Secure")
      const [pair = ""] = cookie.split(";")
      assert.strictEqual((yield* json(yield* call("/me", { headers: { cookie: pair } }))).userId, "alice")
      const signedOut = yield* call("/sign-out", write({ ...own, cookie: "access_token=no-token" }))
      assert.strictEqual(signedOut.status, 204)
      assert.match(signedOut.headers.get("set-cookie") ?? "", /^access_token=; .*Max-Age=0/)
    }))

  it.effect("the cookie is `Secure` where the server is reached over https", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: users, server: { publicUrl: "https://example.com/agents" } })
      const headers = { host: "10.0.0.1", origin: "https://example.com", ...bearer("secret") }
      const cookie = (yield* call("/sign-in", write(headers))).headers.get("set-cookie") ?? ""
      assert.include(cookie, "Secure")
      assert.include(cookie, "Path=/agents")
    }))

  it.effect("P12: no other site signs a browser in or out", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: users })
      for (const headers of [{ host: "localhost", origin: "http://example.com" }, { host: "localhost" }]) {
        for (const path of ["/sign-in", "/sign-out"]) {
          const refused = yield* call(path, write({ ...headers, ...bearer("secret") }))
          assert.strictEqual(refused.status, 403)
          assert.notProperty(Object.fromEntries(refused.headers), "set-cookie")
        }
      }
      assert.strictEqual((yield* call("/sign-in", write(own))).status, 401)
      assert.strictEqual((yield* call("/sign-in", write({ ...own, ...bearer("wrong") }))).status, 401)
      const without = yield* call("/sign-in?access_token=secret", write(own))
      assert.strictEqual(without.status, 400)
      assert.deepStrictEqual((yield* problem(without)).errors[0]?.path, ["headers", "authorization"])
    }))
})

it.effect("agents are listed; an agent without a description has its id", () =>
  Effect.gen(function*() {
    const call = yield* makeCall()
    assert.deepStrictEqual<unknown>(yield* json(yield* call("/agents")), { items: [{ id: "echo", tools: [] }] })
  }))
