/**
 * Tells webhooks when tasks end or wait for a person: at least once, from any process of a store.
 *
 * The ends are those of `TaskBackend.ended`: they become messages of `WebhookStore` in the commit that moves the cursor. A
 * message is removed when its receiver has answered with a success, and is sent again with growing delays until then.
 *
 * @since 0.1.0
 */
import { type Agent, Agents, type Emit } from "@perennial/domain/Agent"
import type { TaskContext } from "@perennial/domain/CurrentTask"
import { isChildTask } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Settings, type Topic, topics, WebhookId } from "@perennial/domain/Webhook"
import {
  type ClaimedDelivery,
  type Outcome,
  WebhookStore,
  type WebhookStoreError
} from "@perennial/domain/WebhookStore"
import {
  Clock,
  DateTime,
  Duration,
  Effect,
  FiberSet,
  Latch,
  Layer,
  Random,
  Redacted,
  Result,
  Schedule,
  Schema
} from "effect"
import { Digest, Mac } from "effect/crypto"
import * as WebhookCrypto from "./internal/webhookCrypto.ts"
import * as WebhookMessage from "./internal/webhookMessage.ts"
import { measure } from "./internal/webhookMetrics.ts"
import * as WebhookTrace from "./internal/webhookTrace.ts"
import { WebhookClient } from "./WebhookClient.ts"

/**
 * A webhook of the server: it is told about the tasks of all users.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerWebhook {
  /** Names the webhook: letters, digits, `_` and `-`. */
  readonly name: string
  readonly url: string
  /** All of them by default. */
  readonly topics?: ReadonlyArray<Topic> | undefined
  /** Whether deliveries have the task and the event, not only ids; false by default. */
  readonly content?: boolean | undefined
  /** `whsec_` and base64. Each of them signs every delivery, so that they can be replaced one after the other. */
  readonly secrets: ReadonlyArray<Redacted.Redacted>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The webhooks of the server, in place of those that it had. Without this option it keeps those. */
  readonly webhooks?: ReadonlyArray<ServerWebhook> | undefined
  /** How often the process looks for ends of tasks and for messages that are due; 1 second by default. */
  readonly interval?: Duration.Input | undefined
  /**
   * How long a message belongs to the process that sends it: another process sends it again after this time, if the first one
   * died. Longer than the time limit of the client; 1 minute by default.
   */
  readonly lease?: Duration.Input | undefined
}

/** How many ends are read at once. */
const pageSize = 500

/** How many messages a process sends at once, and how many of them to one webhook: a slow receiver holds up nobody else. */
const maxSending = 16
const maxPerWebhook = 4

/** The delay after each failed attempt: about three days in all. After one more failure the webhook is disabled. */
const delays = [
  Duration.seconds(5),
  Duration.minutes(5),
  Duration.minutes(30),
  Duration.hours(2),
  Duration.hours(5),
  Duration.hours(10),
  Duration.hours(14),
  Duration.hours(20),
  Duration.hours(24)
]

/** Up to a tenth longer: messages that failed together are not sent together. */
const delayAfter = Effect.fnUntraced(function*(attempt: number) {
  const delay = delays[attempt - 1]
  const random = yield* Random.next
  return delay === undefined ? undefined : Duration.times(delay, 1 + random / 10)
})

const failed = Effect.fnUntraced(function*(attempt: number, error: string): Effect.fn.Return<Outcome> {
  return { type: "failed", error, retryAfter: yield* delayAfter(attempt) }
})

/** Standard Webhooks: an answer of 410 asks for no more messages. */
const outcomeOf = (attempt: number, status: number): Effect.Effect<Outcome> => {
  if (status >= 200 && status < 300) return Effect.succeed({ type: "delivered" })
  const error = `The receiver answered ${status}.`
  return status === 410
    ? Effect.succeed({ type: "failed", error, retryAfter: undefined })
    : failed(attempt, error)
}

/** Turns the ends of tasks into messages. */
const makeCollect = Effect.gen(function*() {
  const backend = yield* TaskBackend
  const store = yield* WebhookStore
  const digest = yield* Digest.Digest

  const page = Effect.gen(function*() {
    const from = yield* store.cursor
    const ends = yield* backend.ended({ after: from, limit: pageSize })
    const last = ends.at(-1)
    if (last === undefined) return { more: false, stored: 0 }
    const webhooks = yield* store.enabled([...new Set(ends.map(({ userId }) => userId))])
    const deliveries = yield* Effect.forEach(ends, (end) => {
      const message = WebhookMessage.ofEnd(end)
      return Effect.forEach(
        webhooks.filter((webhook) =>
          (webhook.userId === undefined || webhook.userId === end.userId) &&
          // A child task ends for its parent. A webhook for one task names the task.
          (webhook.push !== undefined || !isChildTask(end.task.id)) && WebhookMessage.isAbout(webhook, end.task.id) &&
          webhook.topics.includes(message.topic) && webhook.createdAt <= end.task.updatedAt.epochMilliseconds
        ),
        (webhook) => WebhookMessage.toDelivery(message, end.task.id, webhook)
      )
    }).pipe(Effect.provideService(Digest.Digest, digest))
    const all = deliveries.flat()
    const moved = yield* store.advance(all, { from, to: last.cursor })
    return { more: !moved || ends.length === pageSize, stored: moved ? all.length : 0 }
  })

  /** Returns whether there are new messages. */
  const collect = Effect.gen(function*() {
    let stored = 0
    for (;;) {
      const read = yield* page
      stored += read.stored
      if (!read.more) return stored > 0
    }
  })
  return { collect }
})

/** One attempt to deliver a message. */
const makeAttempt = Effect.gen(function*() {
  const store = yield* WebhookStore
  const client = yield* WebhookClient
  const mac = yield* Mac.Mac

  const send = Effect.fnUntraced(function*(claimed: ClaimedDelivery) {
    const { attempt, webhook } = claimed
    const now = yield* Clock.currentTimeMillis
    const { body, headers } = yield* Effect.provideService(WebhookMessage.requestOf(claimed, now), Mac.Mac, mac)
    const answer = yield* Effect.result(
      client.post({ url: webhook.url, headers: { "user-agent": "perennial", ...headers }, body })
    )
    return yield* Result.match(answer, {
      onSuccess: (status) =>
        Effect.andThen(
          Effect.annotateCurrentSpan("http.response.status_code", status),
          outcomeOf(attempt, status)
        ),
      onFailure: (error) =>
        Effect.andThen(Effect.annotateCurrentSpan("error.type", error._tag), failed(attempt, error.message))
    })
  })

  /** A webhook of one task has nothing more to tell after the end of the task. */
  const forget = ({ body, webhook: { id, push, userId } }: ClaimedDelivery) =>
    push === undefined || WebhookMessage.topicOf(body) === "task.approval"
      ? Effect.void
      : Effect.asVoid(store.remove({ id, userId }))

  return Effect.fnUntraced(
    function*(claimed: ClaimedDelivery) {
      const outcome = yield* WebhookTrace.traced(send(claimed), claimed)
      if (outcome.type === "delivered") yield* forget(claimed)
      yield* store.settle(claimed, outcome)
      yield* measure(claimed, outcome)
      if (outcome.type === "delivered") return
      yield* outcome.retryAfter === undefined
        ? Effect.logError(`A webhook is disabled, because its messages do not arrive. ${outcome.error}`)
        : Effect.logInfo(`A webhook message did not arrive; it is sent again. ${outcome.error}`)
    },
    (effect, { attempt, body, id, traceparent, webhookId }) => {
      const traceId = WebhookTrace.traceIdOf(traceparent)
      const names = { ...WebhookMessage.idsOf(body), webhookId, deliveryId: id, attempt }
      return effect.pipe(
        Effect.catchCause((cause) =>
          Effect.logWarning("A webhook message could not be sent; it is tried again.", cause)
        ),
        Effect.annotateLogs(traceId === undefined ? names : { ...names, traceId })
      )
    }
  )
})

/** Sends what is due, and stops at the bounds. `wake` opens when there may be more to send. */
const makeSend = Effect.fnUntraced(function*(wake: Latch.Latch, lease: Duration.Duration) {
  const store = yield* WebhookStore
  const attempt = yield* makeAttempt
  const fibers = yield* FiberSet.make()
  const sending: Array<WebhookId> = []
  const busy = () =>
    [...new Set(sending)].filter((id) => sending.filter((other) => other === id).length >= maxPerWebhook)

  const done = (id: WebhookId) =>
    Effect.suspend(() => {
      sending.splice(sending.indexOf(id), 1)
      return wake.open
    })

  const send = Effect.gen(function*() {
    while (sending.length < maxSending) {
      const claimed = yield* store.claim({ lease, except: busy() })
      if (claimed._tag === "None") return
      const { webhookId } = claimed.value
      sending.push(webhookId)
      yield* FiberSet.run(fibers, Effect.ensuring(attempt(claimed.value), done(webhookId)))
    }
  })
  return { send }
})

const toSettings = ({ content = false, secrets, topics: wanted = topics, url }: ServerWebhook): Settings => ({
  url,
  content,
  topics: wanted,
  secrets: secrets.map((secret) => ({ value: Redacted.value(secret) }))
})

const sameSettings = Schema.toEquivalence(Settings)

/** Replaces the webhooks of the server. Storing one makes its messages due at once, so what is the same stays. */
const replace = Effect.fnUntraced(function*(webhooks: ReadonlyArray<ServerWebhook>) {
  const store = yield* WebhookStore
  const names = new Set(webhooks.map(({ name }) => name))
  const stored = yield* store.list(undefined)
  for (const { id } of stored) {
    if (!names.has(id)) yield* store.remove({ id, userId: undefined })
  }
  for (const webhook of webhooks) {
    const settings = toSettings(webhook)
    const found = stored.find(({ id }) => id === webhook.name)
    if (found !== undefined && found.disabled === undefined && sameSettings(found, settings)) continue
    yield* store.put({ id: WebhookId.make(webhook.name), userId: undefined }, settings)
  }
})

/**
 * Sends the messages of webhooks. Several processes may have it: each message is claimed by one of them.
 *
 * **Details** A webhook is told about nothing that happened before it was added. Messages may arrive more than once, and in
 * another order: receivers know a message again by its header `webhook-id`.
 *
 * **Gotchas** Approvals need `layerAgents`, too.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<never, WebhookStoreError, TaskBackend | WebhookStore | WebhookClient> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const interval = Duration.fromInputUnsafe(options.interval ?? "1 second")
    const wake = yield* Latch.make()
    if (options.webhooks !== undefined) yield* replace(options.webhooks)
    const { collect } = yield* makeCollect
    const { send } = yield* makeSend(wake, Duration.fromInputUnsafe(options.lease ?? "1 minute"))
    const logged = <E>(effect: Effect.Effect<void, E>) =>
      Effect.catchCause(effect, (cause) => Effect.logWarning("Webhooks wait for their store.", cause))

    // The statements of the loops are no part of any trace.
    const fork = (loop: Effect.Effect<unknown>) => Effect.forkScoped(Effect.withTracerEnabled(loop, false))
    yield* fork(Effect.repeat(
      logged(Effect.flatMap(collect, (stored) => stored ? Effect.asVoid(wake.open) : Effect.void)),
      Schedule.spaced(interval)
    ))
    const round = Effect.andThen(wake.close, logged(send)).pipe(
      Effect.andThen(Effect.timeoutOption(wake.await, interval))
    )
    yield* fork(Effect.forever(round))
  })).pipe(Layer.provide(WebhookCrypto.layer))

/**
 * The agents, and webhooks that are told when one of their tool calls waits for a person.
 *
 * **Details** The message is stored before the event `tool_approval` is, so that a crash between both loses no message. If the
 * store of webhooks fails in spite of its retries, this is logged, and the task goes on without the message.
 *
 * **Example** (for a runtime)
 *
 * ```ts
 * import { Agents } from "@perennial/domain/Agent"
 * import * as Webhooks from "@perennial/http/Webhooks"
 * import type { Layer } from "effect"
 *
 * declare const agents: Layer.Layer<Agents>
 *
 * const announced = Webhooks.layerAgents(agents)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAgents = <E, R>(agents: Layer.Layer<Agents, E, R>): Layer.Layer<Agents, E, R | WebhookStore> =>
  Layer.effect(
    Agents,
    Effect.gen(function*() {
      const { get, ids } = yield* Agents
      const store = yield* WebhookStore
      const digest = yield* Digest.Digest

      const enqueue = Effect.fnUntraced(function*(message: WebhookMessage.Message, { taskId, userId }: TaskContext) {
        const webhooks = yield* store.enabled([userId])
        const deliveries = yield* Effect.forEach(
          webhooks.filter((webhook) =>
            webhook.topics.includes(message.topic) && WebhookMessage.isAbout(webhook, taskId)
          ),
          (webhook) => WebhookMessage.toDelivery(message, taskId, webhook)
        ).pipe(Effect.provideService(Digest.Digest, digest))
        if (deliveries.length > 0) yield* store.enqueue(deliveries)
      })
      const announce = Effect.fnUntraced(
        function*(task: TaskContext, event: Parameters<Emit>[0][number]) {
          if (event.type !== "tool_approval" || event.decision !== undefined) return
          const message = WebhookMessage.ofApproval(task, event, yield* DateTime.now, yield* WebhookTrace.current)
          yield* Effect.withTracerEnabled(enqueue(message, task), false)
        },
        Effect.catchCause((cause) => Effect.logError("A webhook is not told about an approval.", cause))
      )
      const announced = (agent: Agent): Agent => ({
        ...agent,
        run: (input, emit) =>
          agent.run(
            input,
            (events) =>
              Effect.andThen(
                Effect.forEach(events, (event) => announce(input.task, event), { discard: true }),
                emit(events)
              )
          )
      })
      return { ids, get: (id) => Effect.map(get(id), announced) }
    })
  ).pipe(Layer.provide([agents, WebhookCrypto.layer]))
