/** The webhooks of a user over HTTP. */
import { assert, describe, it } from "@effect/vitest"
import { UserId } from "@perennial/domain/Ids"
import * as MemoryWebhookStore from "@perennial/domain/MemoryWebhookStore"
import { type Topic, topics, WebhookId } from "@perennial/domain/Webhook"
import { WebhookStore } from "@perennial/domain/WebhookStore"
import * as NodeWebhookClient from "@perennial/http/NodeWebhookClient"
import { Context, Effect, Layer } from "effect"
import { body, type Call, json, layerTokens, makeCall, post, problem } from "./support.ts"

const as = (user: string) => ({ authorization: `Bearer ${user}-secret` })

/** All fields of answers that these tests read. */
interface Webhook {
  readonly id: string
  readonly url: string
  readonly topics: ReadonlyArray<Topic>
  readonly content: boolean
  readonly secret: string
  readonly items: ReadonlyArray<Webhook & { readonly attempts: number; readonly lastError: string }>
}

const make = Effect.gen(function*() {
  const context = yield* Layer.build(MemoryWebhookStore.layer)
  // `auth` is built with the server's own services, and adds those of webhooks.
  const webhooks = Layer.merge(Layer.succeedContext(context), NodeWebhookClient.layer())
  const call = yield* makeCall({ auth: Layer.merge(layerTokens, webhooks) })
  return { call, store: Context.get(context, WebhookStore) }
})

const read = (response: Response) => Effect.promise(() => response.json() as Promise<Webhook>)

const send = Effect.fnUntraced(
  function*(
    call: Call,
    method: string,
    path: string,
    options: { readonly user?: string; readonly body?: unknown } = {}
  ) {
    const init = options.body === undefined ? {} : post(options.body)
    const headers = { ...init.headers, ...as(options.user ?? "alice") }
    return yield* call(path, { ...init, method, headers })
  }
)

const alice = UserId.make("alice")
const hook = { url: "https://example.com/hook" }

describe("webhooks over HTTP", () => {
  it.effect("a webhook is added, read, changed and removed; its secret is shown only when it is made", () =>
    Effect.gen(function*() {
      const { call, store } = yield* make
      const response = yield* send(call, "POST", "/webhooks", { body: hook })
      assert.strictEqual(response.status, 201)
      const { id, secret, ...webhook } = yield* read(response)
      assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
      assert.deepInclude(webhook, { ...hook, topics, content: false })

      const changed = yield* send(call, "PATCH", `/webhooks/${id}`, { body: { content: true, topics: ["task.error"] } })
      const now = { ...webhook, id, content: true, topics: ["task.error"] }
      assert.deepStrictEqual(yield* read(changed), now as unknown)
      assert.deepStrictEqual(yield* read(yield* send(call, "GET", `/webhooks/${id}`)), now as unknown)
      assert.deepStrictEqual(yield* read(yield* send(call, "GET", "/webhooks")), { items: [now] } as unknown)
      assert.strictEqual((yield* store.list(undefined)).length, 0)

      assert.strictEqual((yield* send(call, "DELETE", `/webhooks/${id}`)).status, 204)
      const gone = yield* problem(yield* send(call, "GET", `/webhooks/${id}`))
      assert.deepInclude(gone, { status: 404, type: "urn:perennial:problem:webhook-not-found" })
    }))

  it.effect("a new secret signs beside the one before, which ends after a day", () =>
    Effect.gen(function*() {
      const { call, store } = yield* make
      const { id, secret } = yield* read(yield* send(call, "POST", "/webhooks", { body: hook }))
      const rotated = yield* read(yield* send(call, "POST", `/webhooks/${id}/secret`))
      assert.notStrictEqual(rotated.secret, secret)
      const [webhook] = yield* store.list(alice)
      assert(webhook !== undefined)
      const [newest, older] = webhook.secrets
      assert.deepStrictEqual(newest, { value: rotated.secret })
      assert.strictEqual(older?.value, secret)
      assert.isAtLeast(older?.expiresAt ?? 0, webhook.createdAt + 86_400_000)
    }))

  it.effect("P12: another user's webhook does not exist", () =>
    Effect.gen(function*() {
      const { call } = yield* make
      const { id } = yield* read(yield* send(call, "POST", "/webhooks", { body: hook }))
      const foreign: ReadonlyArray<readonly [string, string, unknown?]> = [
        ["GET", `/webhooks/${id}`],
        ["PATCH", `/webhooks/${id}`, { url: "https://evil.example/" }],
        ["POST", `/webhooks/${id}/secret`],
        ["GET", `/webhooks/${id}/deliveries`],
        ["DELETE", `/webhooks/${id}`]
      ]
      for (const [method, path, payload] of foreign) {
        const response = yield* send(call, method, path, { user: "bob", body: payload })
        assert.strictEqual(response.status, 404, `${method} ${path}`)
        yield* body(response)
      }
      assert.deepStrictEqual(
        yield* read(yield* send(call, "GET", "/webhooks", { user: "bob" })),
        { items: [] } as unknown
      )
      assert.strictEqual((yield* read(yield* send(call, "GET", `/webhooks/${id}`))).url, hook.url)
    }))

  it.effect("advisory: an internal address is refused when the webhook is added or changed", () =>
    Effect.gen(function*() {
      const { call, store } = yield* make
      const { id } = yield* read(yield* send(call, "POST", "/webhooks", { body: hook }))
      for (
        const url of [
          "http://example.com/",
          "https://127.0.0.1/",
          "https://[::1]/",
          "https://169.254.169.254/latest/meta-data/",
          "https://localhost/",
          "https://metadata.google.internal/",
          "file:///etc/passwd",
          "nonsense"
        ]
      ) {
        for (const [method, path] of [["POST", "/webhooks"], ["PATCH", `/webhooks/${id}`]] as const) {
          const refused = yield* problem(yield* send(call, method, path, { body: { url } }))
          assert.strictEqual(refused.status, 400, url)
          assert.deepStrictEqual(refused.errors[0]?.path, ["payload", "url"])
        }
      }
      assert.deepStrictEqual((yield* store.enabled([])).length, 0)
      assert.deepStrictEqual((yield* read(yield* send(call, "GET", "/webhooks"))).items.map(({ url }) => url), [
        hook.url
      ])
    }))

  it.effect("P11: a user has at most 20 webhooks", () =>
    Effect.gen(function*() {
      const { call } = yield* make
      for (let i = 0; i < 20; i++) yield* body(yield* send(call, "POST", "/webhooks", { body: hook }))
      const refused = yield* problem(yield* send(call, "POST", "/webhooks", { body: hook }))
      assert.deepInclude(refused, { status: 409, limit: 20 })
      assert.strictEqual((yield* send(call, "POST", "/webhooks", { body: hook, user: "bob" })).status, 201)
    }))

  it.effect("attempts and the last error of a message can be read, and a change enables a disabled webhook", () =>
    Effect.gen(function*() {
      const { call, store } = yield* make
      const { id } = yield* read(yield* send(call, "POST", "/webhooks", { body: hook }))
      const webhookId = WebhookId.make(id)
      yield* store.enqueue([{ webhookId, id: "msg_1", body: "{}" }])
      yield* store.settle({ webhookId, id: "msg_1", attempt: 0 }, {
        type: "failed",
        error: "The receiver answered 410.",
        retryAfter: undefined
      })
      const { items } = yield* read(yield* send(call, "GET", `/webhooks/${id}/deliveries?limit=10`))
      assert.deepInclude(items[0], { id: "msg_1", attempts: 0, lastError: "The receiver answered 410." })
      const disabled = yield* json(yield* send(call, "GET", `/webhooks/${id}`))
      assert.deepInclude(disabled, { disabledReason: "The receiver answered 410." } as object)
      const enabled = yield* json(yield* send(call, "PATCH", `/webhooks/${id}`, { body: {} }))
      assert.notProperty(enabled, "disabledReason")
    }))

  it.effect("a server that sends no webhooks has no such paths", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      const answer = yield* problem(yield* send(call, "GET", "/webhooks"))
      assert.deepInclude(answer, { status: 404, type: "urn:perennial:problem:route-not-found" })
    }))
})
