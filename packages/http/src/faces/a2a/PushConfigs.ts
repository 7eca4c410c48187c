/**
 * Push notification configurations of A2A: webhooks of the user that are about one task.
 *
 * @since 0.1.0
 */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { NewId } from "@perennial/domain/Ids"
import { isTerminal, type Task } from "@perennial/domain/Task"
import { TaskManager } from "@perennial/domain/TaskManager"
import { type Push, topics, WebhookId } from "@perennial/domain/Webhook"
import { WebhookStore } from "@perennial/domain/WebhookStore"
import { Effect, Option } from "effect"
import { Digest } from "effect/crypto"
import { maxWebhooks } from "../../internal/maxWebhooks.ts"
import * as WebhookMessage from "../../internal/webhookMessage.ts"
import { WebhookClient } from "../../WebhookClient.ts"
import { refuse } from "./A2aErrors.ts"
import type { PushConfig } from "./A2aRequests.ts"
import type { Json } from "./A2aTask.ts"

const notSupported = Effect.fail(
  refuse("PUSH_NOTIFICATION_NOT_SUPPORTED", "This server sends no push notifications.")
)

const notFound = (id: string) => refuse("TASK_NOT_FOUND", `The task has no push notification configuration "${id}".`)

const pushOf = ({ authentication, token = "" }: PushConfig, { id }: Task, configId: string): Push => ({
  protocol: "a2a",
  taskId: id,
  configId,
  ...(token === "" ? {} : { token }),
  ...(authentication?.credentials === undefined || authentication.credentials === ""
    ? {}
    : { authorization: `${authentication.scheme} ${authentication.credentials}` })
})

/** What a client gets: without credentials, which it has given itself. */
const toObject = (url: string, { configId, taskId }: Pick<Push, "configId" | "taskId">): Json => ({
  id: configId,
  taskId,
  url
})

/** Headers cannot have everything. */
const isHeader = (text: string): boolean => /^[\x20-\x7E]*$/.test(text)

/**
 * The operations, for the current user. Where the application provides no `WebhookStore` and no `WebhookClient`, they are refused.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.gen(function*() {
  const manager = yield* TaskManager
  const digest = yield* Digest.Digest
  const services = Option.all({
    store: yield* Effect.serviceOption(WebhookStore),
    client: yield* Effect.serviceOption(WebhookClient)
  })
  const enabled = Option.match(services, { onNone: () => notSupported, onSome: Effect.succeed })

  const of = Effect.fnUntraced(function*(store: WebhookStore["Service"], { id }: Pick<Task, "id">) {
    const all = yield* store.list(yield* CurrentUser)
    return all.flatMap(({ push, ...webhook }) => push?.taskId === id ? [{ ...webhook, push }] : [])
  })

  const find = Effect.fnUntraced(function*(store: WebhookStore["Service"], task: Task, configId: string) {
    const found = (yield* of(store, task)).find(({ push }) => push.configId === configId)
    return found ?? (yield* notFound(configId))
  })

  /** What happened before the webhook was stored: nobody else tells about it. */
  const tell = Effect.fnUntraced(
    function*(store: WebhookStore["Service"], { id }: Pick<Task, "id">, webhookId: WebhookId) {
      const task = yield* manager.get(id)
      const userId = yield* CurrentUser
      const webhook = (yield* store.list(userId)).find((webhook) => webhook.id === webhookId)
      const messages = isTerminal(task.status)
        ? [WebhookMessage.ofEnd({ cursor: 0, userId, task, event: undefined })]
        : (task.waiting ?? []).map((call) => WebhookMessage.ofWaiting(task, userId, call))
      if (webhook === undefined) return
      const deliveries = yield* Effect.forEach(messages, (message) => WebhookMessage.toDelivery(message, id, webhook))
      yield* store.enqueue(deliveries)
    },
    Effect.provideService(Digest.Digest, digest)
  )

  /** What can be known before there is a task. */
  const check = Effect.fnUntraced(function*({ authentication, token = "", url }: PushConfig) {
    const { client } = yield* enabled
    yield* Effect.mapError(client.check(url), ({ problem }) => refuse("INVALID_PARAMS", `url: ${problem}`))
    const { credentials = "", scheme = "" } = authentication ?? {}
    if (isHeader(token + scheme + credentials)) return
    return yield* refuse("INVALID_PARAMS", "token, authentication: Expected printable ASCII characters.")
  })

  const create = Effect.fnUntraced(function*(task: Task, config: PushConfig) {
    const { store } = yield* enabled
    const userId = yield* CurrentUser
    yield* check(config)
    const given = config.id ?? ""
    const known = (yield* of(store, task)).find(({ push }) => push.configId === given)
    const id = known?.id ?? WebhookId.make(yield* yield* NewId)
    const push = pushOf(config, task, given === "" ? id : given)
    if (known === undefined && (yield* store.list(userId)).length >= maxWebhooks) {
      return yield* refuse(
        "UNSUPPORTED_OPERATION",
        `You have ${maxWebhooks} webhooks, which is the limit. Remove one of them.`
      )
    }
    const settings = { url: config.url, topics, content: false, secrets: [], push }
    yield* store.put({ id, userId }, settings)
    yield* tell(store, task, id)
    return toObject(config.url, push)
  })

  const get = Effect.fnUntraced(function*(task: Task, configId: string) {
    const { store } = yield* enabled
    const { push, url } = yield* find(store, task, configId)
    return toObject(url, push)
  })

  const list = Effect.fnUntraced(function*(task: Task) {
    const { store } = yield* enabled
    return { configs: (yield* of(store, task)).map(({ push, url }) => toObject(url, push)), nextPageToken: "" }
  })

  const remove = Effect.fnUntraced(function*(task: Task, configId: string) {
    const { store } = yield* enabled
    const { id, userId } = yield* find(store, task, configId)
    yield* store.remove({ id, userId })
  })

  return { isEnabled: Option.isSome(services), check, create, get, list, remove }
})
