/**
 * The handlers of webhooks, over the `WebhookStore`.
 *
 * @since 0.1.0
 */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { NewId } from "@perennial/domain/Ids"
import { type Secret, type Settings, topics, type Webhook, WebhookId } from "@perennial/domain/Webhook"
import { WebhookStore, type WebhookStoreError } from "@perennial/domain/WebhookStore"
import { Clock, DateTime, Effect, type Layer, Option } from "effect"
import { SecureRandom } from "effect/crypto"
import { Base64 } from "effect/encoding"
import { HttpServerRequest } from "effect/http"
import { HttpApiBuilder, type HttpApiGroup } from "effect/http-api"
import { Api } from "./Api.ts"
import type { Authorization } from "./Authorization.ts"
import { maxWebhooks } from "./internal/maxWebhooks.ts"
import {
  InvalidRequest,
  type RefusalLimit,
  type RequestLimit,
  type RequestProblems,
  RouteNotFound,
  TooManyWebhooks,
  Unavailable,
  WebhookNotFound
} from "./Problems.ts"
import { type AddressRefused, WebhookClient } from "./WebhookClient.ts"

/** How many secrets sign at most, and for how long a replaced one does, in milliseconds. */
const maxSecrets = 3
const overlapMillis = 86_400_000

const random = SecureRandom.make(SecureRandom.randomBytesUnsafe)

const newSecret = Effect.map(
  random.randomBytes(32),
  (bytes): Secret => ({ value: `whsec_${Base64.encode(bytes)}` })
)

const toView = ({ content, createdAt, disabled, id, topics, url }: Webhook) => ({
  id,
  url,
  topics,
  content,
  createdAt: DateTime.makeUnsafe(createdAt),
  ...(disabled === undefined ? undefined : { disabledReason: disabled.reason })
})

const settingsOf = ({ content, push, secrets, topics, url }: Webhook): Settings => ({
  content,
  secrets,
  topics,
  url,
  ...(push === undefined ? undefined : { push })
})

const unavailable = (error: WebhookStoreError) =>
  Effect.andThen(
    Effect.logError(error.message, error),
    Effect.fail(new Unavailable({ detail: "The store of webhooks did not answer. Try again." }))
  )

const refusedUrl = ({ problem }: AddressRefused) =>
  new InvalidRequest({ detail: `url: ${problem}`, errors: [{ path: ["payload", "url"], message: problem }] })

const routeNotFound = Effect.flatMap(
  HttpServerRequest.HttpServerRequest,
  ({ url }) =>
    Effect.fail(
      new RouteNotFound({ path: url.slice(0, 200), detail: "This server sends no webhooks: nothing is at this path." })
    )
)

/**
 * The handlers of webhooks. Where the application provides no `WebhookStore` and no `WebhookClient`, they answer 404.
 *
 * @since 0.1.0
 * @category handlers
 */
export const layer: Layer.Layer<
  HttpApiGroup.Service<"perennial", "webhooks">,
  never,
  Authorization | RequestLimit | RefusalLimit | RequestProblems
> = HttpApiBuilder.group(
  Api,
  "webhooks",
  Effect.fnUntraced(function*(handlers) {
    const services = Option.all({
      store: yield* Effect.serviceOption(WebhookStore),
      client: yield* Effect.serviceOption(WebhookClient)
    })
    const enabled = Option.match(services, { onNone: () => routeNotFound, onSome: Effect.succeed })

    const find = Effect.fnUntraced(function*(store: WebhookStore["Service"], id: WebhookId) {
      const userId = yield* CurrentUser
      const found = (yield* store.list(userId)).find((webhook) => webhook.id === id)
      if (found !== undefined) return found
      return yield* new WebhookNotFound({ webhookId: id, detail: `You have no webhook "${id}".` })
    })

    const put = Effect.fnUntraced(
      function*(store: WebhookStore["Service"], id: WebhookId, settings: Settings) {
        yield* store.put({ id, userId: yield* CurrentUser }, settings)
        return yield* find(store, id)
      }
    )

    return handlers.handleAll({
      list: () =>
        Effect.gen(function*() {
          const { store } = yield* enabled
          return { items: (yield* store.list(yield* CurrentUser)).map(toView) }
        }).pipe(Effect.catchTag("WebhookStoreError", unavailable)),
      add: ({ payload }) =>
        Effect.gen(function*() {
          const { client, store } = yield* enabled
          yield* Effect.mapError(client.check(payload.url), refusedUrl)
          if ((yield* store.list(yield* CurrentUser)).length >= maxWebhooks) {
            return yield* new TooManyWebhooks({
              limit: maxWebhooks,
              detail: `You have ${maxWebhooks} webhooks, which is the limit. Remove one of them.`
            })
          }
          const secret = yield* newSecret
          const settings = { topics, content: false, ...payload, secrets: [secret] }
          const webhook = yield* put(store, WebhookId.make(yield* yield* NewId), settings)
          return { ...toView(webhook), secret: secret.value }
        }).pipe(
          Effect.catchTags({
            WebhookStoreError: unavailable,
            // It was removed at the same moment.
            WebhookNotFound: () => Effect.fail(new Unavailable({ detail: "The webhook was removed at once." }))
          })
        ),
      get: ({ params }) =>
        Effect.gen(function*() {
          const { store } = yield* enabled
          return toView(yield* find(store, params.id))
        }).pipe(Effect.catchTag("WebhookStoreError", unavailable)),
      change: ({ params, payload }) =>
        Effect.gen(function*() {
          const { client, store } = yield* enabled
          const settings = settingsOf(yield* find(store, params.id))
          if (payload.url !== undefined) yield* Effect.mapError(client.check(payload.url), refusedUrl)
          return toView(yield* put(store, params.id, { ...settings, ...payload }))
        }).pipe(Effect.catchTag("WebhookStoreError", unavailable)),
      rotateSecret: ({ params }) =>
        Effect.gen(function*() {
          const { store } = yield* enabled
          const settings = settingsOf(yield* find(store, params.id))
          const secret = yield* newSecret
          const now = yield* Clock.currentTimeMillis
          const older = settings.secrets
            .filter(({ expiresAt }) => expiresAt === undefined || expiresAt > now)
            .map(({ expiresAt, value }) => ({ value, expiresAt: expiresAt ?? now + overlapMillis }))
          const secrets = [secret, ...older].slice(0, maxSecrets)
          const webhook = yield* put(store, params.id, { ...settings, secrets })
          return { ...toView(webhook), secret: secret.value }
        }).pipe(Effect.catchTag("WebhookStoreError", unavailable)),
      deliveries: ({ params, query }) =>
        Effect.gen(function*() {
          const { store } = yield* enabled
          const { id, userId } = yield* find(store, params.id)
          return { items: yield* store.deliveries({ id, userId }, query.limit ?? 100) }
        }).pipe(Effect.catchTag("WebhookStoreError", unavailable)),
      remove: ({ params }) =>
        Effect.gen(function*() {
          const { store } = yield* enabled
          const { id, userId } = yield* find(store, params.id)
          yield* store.remove({ id, userId })
        }).pipe(Effect.catchTag("WebhookStoreError", unavailable))
    })
  })
)
