/** The complete server with the tokens of an identity provider, beside static tokens. */
import { NodeServices } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { exportJWK, generateKeyPair, SignJWT } from "jose"
import { createServer } from "node:http"
import { started } from "../evergreen/server.ts"

const issuer = "https://login.example.com/"
const audience = "https://agents.example.com"

/** An identity provider: its set of public keys behind a URL, and its private key. */
const makeProvider = Effect.gen(function*() {
  const { privateKey, publicKey } = yield* Effect.promise(() => generateKeyPair("ES256", { extractable: true }))
  const jwk = yield* Effect.promise(() => exportJWK(publicKey))
  const keys = JSON.stringify({ keys: [{ ...jwk, kid: "k1", alg: "ES256", use: "sig" }] })
  const server = yield* Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer((_, response) => {
        response.setHeader("content-type", "application/json")
        response.end(keys)
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/keys`
  const sign = (email: string, claims: Record<string, unknown> = {}) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (now) =>
        Effect.promise(() =>
          new SignJWT({ iss: issuer, aud: audience, email, exp: Math.floor(now / 1_000) + 60, ...claims })
            .setProtectedHeader({ alg: "ES256", kid: "k1" })
            .sign(privateKey)
        )
    )
  return { url, sign }
})

it.live("a token of the identity provider is its user; operators are named; no other token is accepted", () =>
  Effect.gen(function*() {
    const provider = yield* makeProvider
    const { address } = yield* started({
      PERENNIAL_JWT_ISSUER: issuer,
      PERENNIAL_JWT_AUDIENCE: audience,
      PERENNIAL_JWT_JWKS_URL: provider.url,
      PERENNIAL_JWT_USER_CLAIM: "email",
      PERENNIAL_OPERATORS: "olga@example.com",
      PERENNIAL_TOKENS: "service:static-secret"
    })
    const statusOf = (path: string, token: string, init: RequestInit = {}) =>
      Effect.promise(async (signal) => {
        const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" }
        const response = await fetch(`${address}${path}`, { ...init, headers, signal })
        await response.text()
        return response.status
      })
    const alice = yield* provider.sign("alice@example.com")
    const olga = yield* provider.sign("olga@example.com")
    const tasksOfAlice = "/operator/users/alice@example.com/tasks"
    const start = { method: "POST", body: JSON.stringify({ message: "Hello" }) }
    assert.deepStrictEqual(
      {
        start: yield* statusOf("/tasks", alice, start),
        operator: yield* statusOf(tasksOfAlice, olga),
        noOperator: yield* statusOf(tasksOfAlice, alice),
        static: yield* statusOf("/tasks", "static-secret"),
        unknown: yield* statusOf("/tasks", "wrong"),
        expired: yield* statusOf("/tasks", yield* provider.sign("alice@example.com", { exp: 1 })),
        otherAudience: yield* statusOf("/tasks", yield* provider.sign("alice@example.com", { aud: "other" })),
        noUser: yield* statusOf("/tasks", yield* provider.sign("", { email: undefined, sub: "alice" }))
      },
      {
        start: 201,
        operator: 200,
        noOperator: 403,
        static: 200,
        unknown: 401,
        expired: 401,
        otherAudience: 401,
        noUser: 401
      }
    )
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
