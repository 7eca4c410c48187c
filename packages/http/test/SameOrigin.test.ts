/** Which writes of browsers a server accepts, especially behind a proxy that changes `Host`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { layerTokens, makeCall, post, problem } from "./support.ts"

type Headers = Record<string, string>

/** A server with tokens gets a write with a cookie. A server without tokens gets a write without credentials. */
const servers = [
  { name: "with a cookie", auth: layerTokens, credential: { cookie: "access_token=alice-secret" } },
  { name: "without tokens", auth: undefined, credential: {} }
] as const

describe.each(servers)("a write $name", ({ auth, credential }) => {
  const makeWrite = (publicUrl?: string) =>
    Effect.map(
      makeCall({ ...(auth && { auth }), server: { publicUrl } }),
      (call) => (headers: Headers) => call("/tasks", post({ message: "a" }, { ...credential, ...headers }))
    )

  it.effect("is accepted from a page of the public URL, also if the proxy changes `Host`", () =>
    Effect.gen(function*() {
      for (const publicUrl of ["https://agents.example", "https://agents.example:443/api/"]) {
        const write = yield* makeWrite(publicUrl)
        assert.strictEqual((yield* write({ origin: "https://agents.example" })).status, 201)
        assert.strictEqual((yield* write({ origin: "http://localhost:3000" })).status, 201)
        for (
          const origin of ["https://evil.example", "http://agents.example", "https://agents.example:444", "null"]
        ) {
          assert.strictEqual((yield* write({ origin })).status, 403, origin)
        }
      }
    }))

  it.effect("is accepted if `Sec-Fetch-Site` says that the page has the same origin", () =>
    Effect.gen(function*() {
      const write = yield* makeWrite()
      const origin = "https://agents.example"
      assert.strictEqual((yield* write({ origin, "sec-fetch-site": "same-origin" })).status, 201)
      assert.strictEqual((yield* write({ "sec-fetch-site": "same-origin" })).status, 201)
      for (const site of ["same-site", "cross-site", "none", "same-origin, same-origin"]) {
        assert.strictEqual((yield* write({ origin, "sec-fetch-site": site })).status, 403, site)
      }
    }))

  it.effect("is refused with a text that names the compared headers and the setting that helps", () =>
    Effect.gen(function*() {
      const without = yield* problem(yield* (yield* makeWrite())({ origin: "https://agents.example" }))
      assert.strictEqual(
        without.detail,
        "Writes are accepted only from pages of this server: `Origin` is https://agents.example, `Host` is localhost:3000, "
          + "`Sec-Fetch-Site` is absent, and no public URL (PERENNIAL_PUBLIC_URL) is configured."
      )
      const write = yield* makeWrite("https://agents.example/api")
      const other = yield* problem(
        yield* write({ origin: `https://${"x".repeat(1_000)}.example`, "sec-fetch-site": "cross-site" })
      )
      assert.include(other.detail, "`Sec-Fetch-Site` is cross-site, and the public URL is https://agents.example/api.")
      assert.isBelow(other.detail.length, 500)
    }))
})

describe("a write", () => {
  it.effect("with a cookie and without `Origin` is refused with a text that says that `Origin` is absent", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      const refused = yield* problem(
        yield* call("/tasks", post({ message: "a" }, { cookie: "access_token=alice-secret" }))
      )
      assert.include(refused.detail, "`Origin` is absent, `Host` is localhost:3000")
    }))

  it.effect("P12: to a server without tokens needs a loopback `Host`, regardless of the public URL and `Sec-Fetch-Site`", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { publicUrl: "https://agents.example" } })
      const headers = { host: "agents.example", origin: "https://agents.example", "sec-fetch-site": "same-origin" }
      const refused = yield* problem(yield* call("/tasks", post({ message: "a" }, headers)))
      assert.strictEqual(refused.status, 403)
      assert.strictEqual(
        refused.detail,
        "`Host` is agents.example. A server without tokens answers only requests to localhost, 127.0.0.1 or [::1]."
      )
    }))
})
