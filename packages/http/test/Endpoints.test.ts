/** What every endpoint answers to each kind of request that it refuses: status and problem, for all endpoints of the API. */
import { assert, describe, it } from "@effect/vitest"
import { Api } from "@perennial/http/Api"
import * as Authorization from "@perennial/http/Authorization"
import * as Jwt from "@perennial/http/Jwt"
import * as NodeWebhookClient from "@perennial/http/NodeWebhookClient"
import * as RateLimit from "@perennial/http/RateLimit"
import { Clock, Context, Effect, Layer, Redacted } from "effect"
import { type HttpApiEndpoint, OpenApi } from "effect/http-api"
import { SignJWT } from "jose"
import { body, type Call, json, makeCall, post } from "./support.ts"

const secret = "a secret of at least thirty-two bytes"

const auth = Layer.merge(
  Jwt.layer({
    issuer: "test",
    audience: "test",
    keys: { secret: Redacted.make(secret) },
    rolesOf: ({ sub }) => sub === "olga" ? ["operator"] : []
  }),
  // A server without it has no webhooks.
  NodeWebhookClient.layer()
)

/** A token that expires so many seconds from now. */
const sign = (user: string, seconds: number) =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (millis) =>
      Effect.promise(() =>
        new SignJWT({ iss: "test", aud: "test", sub: user, exp: Math.floor(millis / 1_000) + seconds })
          .setProtectedHeader({ alg: "HS256" })
          .sign(new TextEncoder().encode(secret))
      )
  )

const makeTokens = Effect.all({
  alice: sign("alice", 600),
  bob: sign("bob", 600),
  olga: sign("olga", 600),
  expired: sign("alice", -600),
  wrong: Effect.succeed("wrong"),
  none: Effect.succeed("")
})

type Tokens = Effect.Success<typeof makeTokens>

interface Endpoint {
  readonly group: string
  readonly method: string
  readonly path: string
  readonly needsUser: boolean
}

const endpoints: ReadonlyArray<Endpoint> = Object.values(Api.groups).flatMap((group) =>
  Object.values<HttpApiEndpoint.Top>(group.endpoints).map(({ annotations, method, path }) => ({
    group: group.identifier,
    method,
    path,
    needsUser: !Context.get(annotations, Authorization.Public) && !Context.get(group.annotations, Authorization.Public)
  }))
)

/** The endpoints that read a body, with a body that they accept. */
const bodies: Readonly<Record<string, object>> = {
  "POST /tasks": { message: "a" },
  "POST /chat": { message: "a" },
  "POST /tasks/:id/cancel": { reason: "a" },
  "POST /tasks/:id/decisions/:toolCallId": { approved: true },
  "PATCH /conversations/:id": { title: "Trees" },
  "POST /conversations/:id/regenerate": { onBusy: "reject" },
  "POST /tickets": {},
  "POST /webhooks": { url: "https://example.com/" },
  "PATCH /webhooks/:id": { content: true },
  "POST /operator/users/:userId/tasks/:id/cancel": { reason: "a" }
}

const nameOf = ({ method, path }: Endpoint) => `${method} ${path}`

interface Refusal {
  readonly name: string
  readonly applies: (endpoint: Endpoint) => boolean
  readonly answer: string | ((endpoint: Endpoint) => string)
  readonly token?: keyof Tokens
  readonly id?: string
  readonly body?: unknown
  readonly method?: string
}

const needsUser = (endpoint: Endpoint) => endpoint.needsUser
const hasId = ({ path }: Endpoint) => path.includes(":id")
const hasBody = (endpoint: Endpoint) => bodies[nameOf(endpoint)] !== undefined
const isOperators = ({ group }: Endpoint) => group === "operator"
const owner = (endpoint: Endpoint) => isOperators(endpoint) ? "olga" : "alice"
const kindOf = ({ group }: Endpoint) =>
  group === "conversations" ? "conversation" : group === "webhooks" ? "webhook" : "task"
const notFound = (endpoint: Endpoint) => `404 ${kindOf(endpoint)}-not-found`

const refusals: ReadonlyArray<Refusal> = [
  { name: "no token", applies: needsUser, token: "none", answer: "401 unauthorized" },
  { name: "a wrong token", applies: needsUser, token: "wrong", answer: "401 unauthorized" },
  { name: "an expired token", applies: needsUser, token: "expired", answer: "401 unauthorized" },
  { name: "a user without the role", applies: isOperators, token: "alice", answer: "403 operator-only" },
  { name: "another user's id", applies: (one) => hasId(one) && !isOperators(one), token: "bob", answer: notFound },
  { name: "an unknown id", applies: hasId, id: "unknown", answer: notFound },
  { name: "an id that is too long", applies: hasId, id: "x".repeat(201), answer: "400 invalid-request" },
  { name: "a body of another shape", applies: hasBody, body: [1], answer: "400 invalid-request" },
  {
    name: "a body that is too large",
    applies: hasBody,
    body: { message: "x".repeat(5_000) },
    answer: "413 payload-too-large"
  },
  { name: "a wrong method", applies: () => true, method: "PUT", answer: "405 method-not-allowed" }
]

const prepare = Effect.fnUntraced(function*(call: Call) {
  const tokens = yield* makeTokens
  const headers = { authorization: `Bearer ${tokens.alice}` }
  const { conversationId, id } = yield* json(yield* call("/tasks", post({ message: "hold" }, headers)))
  const webhook = yield* json(yield* call("/webhooks", post(bodies["POST /webhooks"], headers)))
  return { tokens, ids: { task: id, conversation: conversationId, webhook: webhook.id } }
})

/** Sends a request that the endpoint accepts, except for what the refusal changes. Returns status and problem. */
const send = Effect.fnUntraced(function*(
  call: Call,
  endpoint: Endpoint,
  { ids, tokens }: Effect.Success<ReturnType<typeof prepare>>,
  refusal: Partial<Refusal> = {}
) {
  const { id = ids[kindOf(endpoint)], method = endpoint.method } = refusal
  const token = tokens[refusal.token ?? owner(endpoint)]
  const path = endpoint.path.replace(":id", id).replace(":userId", "alice").replace(":toolCallId", "call-1")
  const content = refusal.body ?? bodies[nameOf(endpoint)]
  const response = yield* call(path, {
    method,
    headers: {
      ...(token === "" ? undefined : { authorization: `Bearer ${token}` }),
      ...(content === undefined ? undefined : { "content-type": "application/json" })
    },
    ...(content === undefined || method === "GET" ? undefined : { body: JSON.stringify(content) })
  })
  const text = response.status < 400 ? "" : yield* body(response)
  const type = text === "" ? "" : String(JSON.parse(text).type).replace("urn:perennial:problem:", "")
  return `${response.status} ${type}`
})

interface Described {
  readonly $ref?: string
  readonly anyOf?: ReadonlyArray<Described>
}

interface Document {
  readonly paths: {
    readonly [path: string]: {
      readonly [method: string]: {
        readonly responses: {
          readonly [status: string]: { readonly content?: { readonly [type: string]: { readonly schema: Described } } }
        }
      }
    }
  }
  readonly components: {
    readonly schemas: {
      readonly [name: string]: { readonly properties?: { readonly type?: { readonly enum: unknown } } }
    }
  }
}

const document: Document = JSON.parse(JSON.stringify(OpenApi.fromApi(Api)))

/** Whether the OpenAPI document has an answer, such as `404 task-not-found`, for an endpoint. */
const declares = ({ method, path }: Endpoint, answer: string): boolean => {
  const [status = "", problem] = answer.split(" ")
  const operation = document.paths[path.replaceAll(/:(\w+)/g, "{$1}")]?.[method.toLowerCase()]
  const schema = operation?.responses[status]?.content?.["application/problem+json"]?.schema
  return (schema?.anyOf ?? [schema ?? {}]).some(({ $ref = "" }) => {
    const type = document.components.schemas[$ref.replace("#/components/schemas/", "")]?.properties?.type
    return String(type?.enum) === `urn:perennial:problem:${problem}`
  })
}

describe("every endpoint refuses, as the OpenAPI document declares it,", () => {
  for (const refusal of refusals) {
    it.live(refusal.name, () =>
      Effect.gen(function*() {
        const call = yield* makeCall({ auth, server: { maxBodySize: "2 KiB" } })
        const prepared = yield* prepare(call)
        const chosen = endpoints.filter(refusal.applies)
        assert.isNotEmpty(chosen)
        const answers = yield* Effect.forEach(chosen, (endpoint) => send(call, endpoint, prepared, refusal))
        const { answer } = refusal
        assert.deepStrictEqual(
          chosen.map((endpoint, i) => `${nameOf(endpoint)}: ${answers[i]}`),
          chosen.map((endpoint) => `${nameOf(endpoint)}: ${typeof answer === "string" ? answer : answer(endpoint)}`)
        )
        const undeclared = chosen.filter((endpoint, i) => !declares(endpoint, answers[i] ?? ""))
        assert.deepStrictEqual(undeclared.map(nameOf), [])
      }))
  }

  it.live("a request over the limit of its user", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth, guards: RateLimit.layerMemory({ requests: 1 }) })
      const prepared = yield* prepare(call)
      yield* call("/tasks", { headers: { authorization: `Bearer ${prepared.tokens.olga}` } })
      const chosen = endpoints.filter(needsUser)
      const answers = yield* Effect.forEach(chosen, (endpoint) => send(call, endpoint, prepared))
      assert.deepStrictEqual(
        chosen.map((endpoint, i) => `${nameOf(endpoint)}: ${answers[i]}`),
        chosen.map((endpoint) => `${nameOf(endpoint)}: 429 rate-limited`)
      )
    }))
})
