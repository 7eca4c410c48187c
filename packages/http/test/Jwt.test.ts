/** Signed tokens: which are accepted, how keys rotate, and what ends with a token. */
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as Jwt from "@perennial/http/Jwt"
import { Clock, Effect, Layer, Redacted, Ref } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { exportJWK, generateKeyPair, SignJWT } from "jose"
import { createServer } from "node:http"
import { json, makeCall, post, problem } from "./support.ts"

const issuer = "https://login.example.com/"
const audience = "https://agents.example.com"
const secret = "a secret of at least thirty-two bytes"

const now = Effect.map(Clock.currentTimeMillis, (millis) => Math.floor(millis / 1_000))

interface Signing {
  readonly alg: string
  readonly key: CryptoKey | Uint8Array
  readonly kid?: string | undefined
}

const shared: Signing = { alg: "HS256", key: new TextEncoder().encode(secret) }

const sign = Effect.fnUntraced(
  function*({ alg, key, kid }: Signing, claims: { readonly [claim: string]: unknown } = {}) {
    const at = yield* now
    const payload = { iss: issuer, aud: audience, sub: "alice", exp: at + 60, ...claims }
    return yield* Effect.promise(() =>
      new SignJWT(payload).setProtectedHeader({ alg, ...(kid !== undefined && { kid }) }).sign(key)
    )
  }
)

const makePair = Effect.fnUntraced(function*(alg: string, kid: string) {
  const { privateKey, publicKey } = yield* Effect.promise(() => generateKeyPair(alg))
  const jwk = yield* Effect.promise(() => exportJWK(publicKey))
  return { signing: { alg, key: privateKey, kid }, jwk: { ...jwk, alg, kid } }
})

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

const withSecret = Jwt.layer({ issuer, audience, keys: { secret: Redacted.make(secret) } })

describe("a signed token", () => {
  it.live("of each algorithm is accepted, and names the user (P12)", () =>
    Effect.gen(function*() {
      for (const alg of ["RS256", "PS256", "ES256", "EdDSA"]) {
        const { jwk, signing } = yield* makePair(alg, "one")
        const call = yield* makeCall({ auth: Jwt.layer({ issuer, audience, keys: { jwks: { keys: [jwk] } } }) })
        const alice = bearer(yield* sign(signing))
        const { id } = yield* json(yield* call("/tasks", post({ message: "a" }, alice.headers)))
        assert.strictEqual((yield* call(`/tasks/${id}`, alice)).status, 200, alg)
        const bob = bearer(yield* sign(signing, { sub: "bob" }))
        assert.strictEqual((yield* call(`/tasks/${id}`, bob)).status, 404, alg)
      }
      const call = yield* makeCall({ auth: withSecret })
      assert.strictEqual((yield* call("/tasks", bearer(yield* sign(shared)))).status, 200)
    }))

  it.live("that is wrong in any way is 401 with a challenge", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: withSecret })
      const at = yield* now
      const other = { alg: "HS256", key: new TextEncoder().encode(`another ${secret}`) }
      const { signing: rsa } = yield* makePair("RS256", "one")
      const unsigned = `${btoa(`{"alg":"none"}`)}.${
        btoa(JSON.stringify({ iss: issuer, aud: audience, sub: "alice" }))
      }.`
      const tokens: Record<string, string> = {
        "no token": "abc",
        "three parts that are none": "a.b.c",
        "not signed": unsigned,
        "another secret": yield* sign(other),
        "another algorithm": yield* sign(rsa),
        "another issuer": yield* sign(shared, { iss: "https://evil.example/" }),
        "another audience": yield* sign(shared, { aud: "https://other.example.com" }),
        "expired": yield* sign(shared, { exp: at - 6 }),
        "not valid yet": yield* sign(shared, { nbf: at + 30 }),
        "without an end": yield* sign(shared, { exp: undefined }),
        "without a user": yield* sign(shared, { sub: undefined }),
        "an empty user": yield* sign(shared, { sub: "" }),
        "a user with a line break": yield* sign(shared, { sub: "al\nice" })
      }
      for (const [what, token] of Object.entries(tokens)) {
        const response = yield* call("/tasks", bearer(token))
        assert.strictEqual(response.status, 401, what)
        assert.strictEqual(response.headers.get("www-authenticate"), `Bearer error="invalid_token"`, what)
        assert.strictEqual((yield* problem(response)).type, "urn:perennial:problem:unauthorized", what)
      }
    }))

  it.live("of a public key that is used as a shared secret is 401", () =>
    Effect.gen(function*() {
      const { jwk } = yield* makePair("RS256", "one")
      const call = yield* makeCall({ auth: Jwt.layer({ issuer, audience, keys: { jwks: { keys: [jwk] } } }) })
      const confused = { alg: "HS256", key: new TextEncoder().encode(JSON.stringify(jwk)), kid: "one" }
      assert.strictEqual((yield* call("/tasks", bearer(yield* sign(confused)))).status, 401)
    }))

  it.live("may differ from the server's clock by the tolerance, and name the user in another claim", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({
        auth: Jwt.layer({
          issuer,
          audience,
          keys: { secret: Redacted.make(secret) },
          userClaim: "email",
          clockTolerance: "1 minute"
        })
      })
      const token = yield* sign(shared, { exp: (yield* now) - 30, sub: undefined, email: "alice@example.com" })
      assert.strictEqual((yield* call("/tasks", bearer(token))).status, 200)
    }))
})

describe("keys behind a URL", () => {
  it.live("are read once, and again when a token names a key that is not among them; 503 while they cannot be read", () =>
    Effect.gen(function*() {
      const first = yield* makePair("ES256", "first")
      const second = yield* makePair("ES256", "second")
      const published = yield* Ref.make<ReadonlyArray<object> | undefined>(undefined)
      const reads = yield* Ref.make(0)
      const routes = HttpRouter.add(
        "GET",
        "/jwks.json",
        Effect.gen(function*() {
          yield* Ref.update(reads, (n) => n + 1)
          const keys = yield* Ref.get(published)
          return keys === undefined
            ? HttpServerResponse.empty({ status: 500 })
            : HttpServerResponse.jsonUnsafe({ keys })
        })
      )
      const context = yield* Layer.build(
        HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
          Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
        )
      )
      const { address } = yield* Effect.provideContext(HttpServer.HttpServer, context)
      const jwksUrl = new URL("/jwks.json", HttpServer.formatAddress(address))
      const call = yield* makeCall({ auth: Jwt.layer({ issuer, audience, keys: { jwksUrl, cooldown: 0 } }) })
      const status = (signing: Signing) =>
        Effect.flatMap(sign(signing), (token) => Effect.map(call("/tasks", bearer(token)), (_) => _.status))

      assert.strictEqual(yield* status(first.signing), 503)
      yield* Ref.set(published, [first.jwk])
      assert.strictEqual(yield* status(first.signing), 200)
      assert.strictEqual(yield* status(first.signing), 200)
      assert.strictEqual(yield* Ref.get(reads), 2)
      assert.strictEqual(yield* status(second.signing), 401)
      yield* Ref.set(published, [second.jwk])
      assert.strictEqual(yield* status(second.signing), 200)
      assert.strictEqual(yield* status(first.signing), 401)
    }))
})
