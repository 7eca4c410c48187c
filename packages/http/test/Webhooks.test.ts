/** Which messages webhooks get, how they are signed, and what happens when they do not arrive. */
import { assert, describe, it } from "@effect/vitest"
import { Agents } from "@perennial/domain/Agent"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { UserId } from "@perennial/domain/Ids"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import { TaskManager } from "@perennial/domain/TaskManager"
import { type Settings, topics, WebhookId } from "@perennial/domain/Webhook"
import { type Outcome, WebhookStore } from "@perennial/domain/WebhookStore"
import { NoAnswer, WebhookClient } from "@perennial/http/WebhookClient"
import * as Webhooks from "@perennial/http/Webhooks"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Duration, Effect, Latch, Layer, Metric, Queue, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { Webhook } from "standardwebhooks"
import { makeEcho } from "./support.ts"

const alice = UserId.make("alice")
const bob = UserId.make("bob")
const secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"] as const

const settings: Settings = { url: "https://a.example/hook", topics, content: false, secrets: [{ value: secrets[0] }] }
const hook = { id: WebhookId.make("a"), userId: alice }

interface Request {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A system whose receivers are controlled by the test: they answer 200 unless the test has given other answers. */
const make = Effect.fnUntraced(function*(options?: Webhooks.Options) {
  const echo = makeEcho()
  const requests = yield* Queue.unbounded<Request>()
  const outcomes = yield* Queue.unbounded<Outcome>()
  const answers: Array<number | "none"> = []
  /** Receivers whose URL has the word `slow` wait for it. */
  const gate = yield* Latch.make()
  const client = WebhookClient.of({
    check: () => Effect.void,
    post: (request) =>
      Effect.gen(function*() {
        yield* Queue.offer(requests, request)
        if (request.url.includes("slow")) yield* gate.await
        const answer = answers.shift() ?? 200
        return answer === "none" ? yield* new NoAnswer({ problem: "No answer: ECONNREFUSED." }) : answer
      })
  })
  const memory = yield* Layer.build(MemoryStore.layer)
  const store = Context.get(memory, WebhookStore)
  const stores = Layer.merge(
    Layer.succeedContext(memory),
    Layer.succeed(
      WebhookStore,
      WebhookStore.of({
        ...store,
        settle: (claim, outcome) =>
          Effect.andThen(store.settle(claim, outcome), Queue.offer(outcomes, outcome)).pipe(Effect.asVoid)
      })
    )
  )
  // Only where tasks run: a runtime does something every few seconds.
  const manager = yield* Layer.build(
    TaskRuntime.layer.pipe(
      Layer.provide(Webhooks.layerAgents(Agents.layer([echo.agent]))),
      Layer.provide(stores)
    )
  ).pipe(Effect.map(Context.get(TaskManager)), Effect.cached)
  const sender = Webhooks.layer(options).pipe(
    Layer.provide(Layer.succeed(WebhookClient, client)),
    Layer.provide(stores)
  )
  return {
    answers,
    echo,
    gate,
    store,
    manager,
    /** Starts a process that sends. */
    send: Layer.build(Layer.fresh(sender)),
    /** The next request. */
    request: Queue.take(requests),
    /** The requests that nobody has taken. */
    rest: Queue.size(requests),
    /** How the next attempt ended. */
    outcome: Queue.take(outcomes),
    /** Runs a task of a user to its end, and returns its id. */
    run: Effect.fnUntraced(function*(message: string, user = alice) {
      const { await: awaitTask, start } = yield* manager
      const task = yield* Effect.provideService(start({ message }), CurrentUser, user)
      yield* Effect.provideService(awaitTask(task.id), CurrentUser, user)
      return task
    })
  }
})

const parsed = ({ body }: Request) =>
  JSON.parse(body) as { readonly type: string; readonly data: Record<string, unknown> }

/** The ends are looked for every second. */
const second = TestClock.adjust("1 second")

describe("webhooks", () => {
  it.effect("an end becomes one message, signed as Standard Webhooks says, with ids and no contents", () =>
    Effect.gen(function*() {
      const { outcome, request, rest, run, send, store } = yield* make()
      yield* store.put(hook, { ...settings, secrets: [{ value: secrets[1] }, { value: secrets[0] }] })
      yield* send
      const task = yield* run("a secret word")
      yield* second
      const sent = yield* request
      assert.deepStrictEqual(yield* outcome, { type: "delivered" })
      assert.strictEqual(sent.url, settings.url)
      // The headers have the test's time, which is far from the time of the library.
      const signature = sent.headers["webhook-signature"]?.split(" ") ?? []
      const [id = "", at] = [sent.headers["webhook-id"], new Date(Number(sent.headers["webhook-timestamp"]) * 1000)]
      assert.deepStrictEqual(
        signature,
        [secrets[1], secrets[0]].map((secret) => new Webhook(secret).sign(id, at, sent.body))
      )
      const { data, type } = parsed(sent)
      assert.strictEqual(type, "task.completed")
      assert.deepStrictEqual(data, {
        taskId: task.id,
        conversationId: task.conversationId,
        userId: "alice",
        agentId: "echo"
      })
      yield* second
      assert.strictEqual(yield* rest, 0)
      assert.deepStrictEqual(yield* store.deliveries(hook, 10), [])
    }))

  it.effect("P12: a webhook hears of its user's tasks and its topics, and of nothing before it was added", () =>
    Effect.gen(function*() {
      const { request, rest, run, send, store } = yield* make()
      yield* run("a")
      yield* second
      yield* store.put(hook, { ...settings, topics: ["task.error"] })
      yield* store.put({ id: WebhookId.make("b"), userId: bob }, {
        ...settings,
        url: "https://b.example/",
        content: true
      })
      yield* send
      yield* run("b")
      const broken = yield* run("break")
      const bobs = yield* run("c", bob)
      yield* second
      const sent = [yield* request, yield* request].toSorted((a, b) => a.url < b.url ? -1 : 1).map(parsed)
      assert.strictEqual(yield* rest, 0)
      assert.strictEqual(sent[0]?.type, "task.error")
      assert.deepInclude(sent[0]?.data, { taskId: broken.id, userId: "alice" })
      assert.notInclude(JSON.stringify(sent[0]), "connection string")
      // With contents.
      assert.deepInclude(sent[1]?.data["task"], { id: bobs.id, status: "completed" })
      assert.deepInclude(sent[1]?.data["event"], { type: "done" })
    }))

  it.effect("a tool call that waits for a person is a message; its arguments are in it only if they were asked for", () =>
    Effect.gen(function*() {
      const { manager, request, send, store } = yield* make()
      yield* store.put(hook, { ...settings, topics: ["task.approval"] })
      yield* store.put({ ...hook, id: WebhookId.make("b") }, { ...settings, content: true, topics: ["task.approval"] })
      yield* send
      const { start } = yield* manager
      const task = yield* Effect.provideService(start({ message: "approve" }), CurrentUser, alice)
      yield* second
      const sent = [yield* request, yield* request].map(parsed).toSorted((a) => "args" in a.data ? 1 : -1)
      assert.deepStrictEqual(sent.map(({ type }) => type), ["task.approval", "task.approval"])
      assert.deepStrictEqual(sent[0]?.data, {
        taskId: task.id,
        conversationId: task.conversationId,
        userId: "alice",
        agentId: "echo",
        tool: "pay",
        toolCallId: "call/1"
      })
      assert.deepStrictEqual(sent[1]?.data["args"], { cents: 5 })
    }))

  it.effect("a webhook of one task has the form of A2A, hears of that task alone, and is removed after its end", () =>
    Effect.gen(function*() {
      const { answers, echo, manager, outcome, request, rest, send, store } = yield* make()
      yield* send
      const { await: wait, start } = yield* manager
      const begin = (message: string) => Effect.provideService(start({ message }), CurrentUser, alice)
      const task = yield* begin("hold")
      const push = { protocol: "a2a", taskId: task.id, configId: "c", token: "t" } as const
      yield* store.put(hook, { ...settings, secrets: [], push })
      const other = yield* begin("b")
      yield* Effect.provideService(wait(other.id), CurrentUser, alice)
      yield* second
      assert.strictEqual(yield* rest, 0)
      answers.push(500)
      yield* echo.gate.open
      yield* Effect.provideService(wait(task.id), CurrentUser, alice)
      yield* second
      const sent = yield* request
      assert.strictEqual((yield* outcome).type, "failed")
      const { statusUpdate } = JSON.parse(sent.body)
      assert.deepInclude(statusUpdate, { taskId: task.id, contextId: task.conversationId })
      assert.strictEqual(statusUpdate.status.state, "TASK_STATE_COMPLETED")
      assert.strictEqual(sent.headers["x-a2a-notification-token"], "t")
      assert.notProperty(sent.headers, "webhook-signature")
      // It stays until the receiver knows of the end.
      assert.lengthOf(yield* store.list(alice), 1)
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* request).body, sent.body)
      assert.deepStrictEqual(yield* outcome, { type: "delivered" })
      assert.deepStrictEqual(yield* store.list(alice), [])
    }))

  it.effect("a message that does not arrive is sent again, the same, with growing delays, and disables its webhook at last", () =>
    Effect.gen(function*() {
      const { answers, outcome, request, rest, send, store } = yield* make({
        interval: "1 minute",
        // The clock of the test jumps, also while a message is being signed.
        lease: "365 days"
      })
      const message = (id: string) => store.enqueue([{ webhookId: hook.id, id, body: "{}" }])
      yield* store.put(hook, settings)
      yield* send
      answers.push(500, "none", 302, ...Array.from({ length: 7 }, () => 404))
      yield* message("a")
      yield* TestClock.adjust("1 minute")
      const first = yield* request
      const delays: Array<number> = []
      for (;;) {
        const result = yield* outcome
        assert(result.type === "failed")
        const [waiting] = yield* store.deliveries(hook, 10)
        assert.strictEqual(waiting?.lastError, result.error)
        if (result.retryAfter === undefined) break
        delays.push(Duration.toSeconds(result.retryAfter))
        yield* TestClock.adjust(Duration.sum(result.retryAfter, Duration.minutes(1)))
        const again = yield* request
        assert.strictEqual(again.body, first.body)
        assert.strictEqual(again.headers["webhook-id"], first.headers["webhook-id"])
        assert.isAbove(Number(again.headers["webhook-timestamp"]), Number(first.headers["webhook-timestamp"]))
      }
      const nominal = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
      assert.strictEqual(delays.length, nominal.length)
      for (const [i, delay] of delays.entries()) {
        assert.isAtLeast(delay, nominal[i] ?? 0)
        assert.isAtMost(delay, (nominal[i] ?? 0) * 1.1)
      }
      const [disabled] = yield* store.list(alice)
      assert.strictEqual(disabled?.disabled?.reason, "The receiver answered 404.")
      // A disabled webhook is told about nothing more, and gets what waits once it is enabled.
      yield* message("b")
      yield* TestClock.adjust("2 days")
      assert.strictEqual(yield* rest, 0)
      yield* store.put(hook, settings)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* request).headers["webhook-id"], first.headers["webhook-id"])
      assert.deepStrictEqual(yield* outcome, { type: "delivered" })
      assert.deepStrictEqual(yield* store.deliveries(hook, 10), [])
    }))

  it.effect("a receiver that answers 410 is sent nothing more", () =>
    Effect.gen(function*() {
      const { answers, outcome, request, run, send, store } = yield* make()
      yield* store.put(hook, settings)
      yield* send
      answers.push(410)
      yield* run("a")
      yield* second
      yield* request
      yield* outcome
      assert.strictEqual((yield* store.list(alice))[0]?.disabled?.reason, "The receiver answered 410.")
    }))

  it.effect("attempts are counted by their outcome, and the age of their messages is measured", () =>
    Effect.gen(function*() {
      const { answers, outcome, request, run, send, store } = yield* make()
      yield* store.put(hook, settings)
      yield* send
      answers.push(500, 200, 410)
      yield* run("a")
      yield* second
      yield* Effect.andThen(request, outcome)
      yield* TestClock.adjust("7 seconds")
      yield* Effect.andThen(request, outcome)
      yield* run("b")
      yield* second
      yield* Effect.andThen(request, outcome)
      yield* second
      const metrics = yield* Metric.snapshot
      assert.deepStrictEqual(
        Object.fromEntries(
          metrics.flatMap(({ attributes, id, state }) =>
            id === "perennial.webhooks.attempts" && "count" in state
              ? [[attributes?.["perennial.webhook.outcome"] ?? "", Number(state.count)]]
              : []
          )
        ),
        { delivered: 1, failed: 1, disabled: 1 }
      )
      const age = metrics.find(({ id }) => id === "perennial.webhooks.age")?.state
      assert(age !== undefined && "max" in age)
      assert.strictEqual(age.count, 3)
      // The second attempt is five seconds after the first, or up to a tenth more; the clock has moved by eight until then.
      assert.isAtLeast(age.max, 5)
      assert.isAtMost(age.max, 8)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("two processes send each message once", () =>
    Effect.gen(function*() {
      const { outcome, request, rest, run, send, store } = yield* make()
      yield* store.put(hook, settings)
      yield* send
      yield* send
      for (const message of ["a", "b", "c", "d", "e", "f"]) yield* run(message)
      yield* second
      const ids = new Set<string | undefined>()
      for (let i = 0; i < 6; i++) {
        ids.add((yield* request).headers["webhook-id"])
        yield* outcome
      }
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(ids.size, 6)
      assert.strictEqual(yield* rest, 0)
    }))

  it.effect("P6: a receiver that does not answer gets at most 4 messages at once, and holds up no other receiver", () =>
    Effect.gen(function*() {
      const { gate, outcome, request, rest, run, send, store } = yield* make()
      yield* store.put(hook, { ...settings, url: "https://slow.example/" })
      yield* store.put({ id: WebhookId.make("b"), userId: bob }, { ...settings, url: "https://b.example/" })
      yield* send
      for (let i = 0; i < 20; i++) yield* run("a")
      yield* run("b", bob)
      yield* second
      const urls = [yield* request, yield* request, yield* request, yield* request, yield* request].map(({ url }) =>
        url
      )
      assert.strictEqual(urls.filter((url) => url.includes("slow")).length, 4)
      assert.include(urls, "https://b.example/")
      assert.deepStrictEqual(yield* outcome, { type: "delivered" })
      yield* second
      assert.strictEqual(yield* rest, 0)
      yield* gate.open
      for (let i = 0; i < 20; i++) yield* outcome
      assert.deepStrictEqual(yield* store.deliveries(hook, 10), [])
    }))

  it.effect("an expired secret signs no more", () =>
    Effect.gen(function*() {
      const { request, run, send, store } = yield* make()
      yield* store.put(hook, { ...settings, secrets: [{ value: secrets[0] }, { value: secrets[1], expiresAt: 500 }] })
      yield* send
      yield* run("a")
      yield* second
      assert.match((yield* request).headers["webhook-signature"] ?? "", /^v1,\S+$/)
    }))

  it.effect("the server's own webhooks hear of all users, and those of an earlier start are removed", () =>
    Effect.gen(function*() {
      const { request, run, send, store } = yield* make({
        webhooks: [{
          name: "all",
          url: "https://all.example/",
          secrets: secrets.map((secret) => Redacted.make(secret))
        }]
      })
      yield* store.put({ id: WebhookId.make("old"), userId: undefined }, settings)
      yield* send
      const [all, ...others] = yield* store.list(undefined)
      assert.deepStrictEqual([all?.id, others], [WebhookId.make("all"), []])
      // Another process starts with the same webhooks: what is being sent is not due again.
      yield* store.enqueue([{ webhookId: WebhookId.make("all"), id: "sent", body: "{}" }])
      yield* store.claim({ lease: Duration.hours(1), except: [] })
      yield* send
      assert.deepInclude((yield* store.deliveries({ id: WebhookId.make("all"), userId: undefined }, 1))[0], {
        attempts: 1
      })
      yield* run("a")
      yield* run("b", bob)
      yield* second
      const users = [parsed(yield* request), parsed(yield* request)].map(({ data }) => data["userId"])
      assert.deepStrictEqual(users.toSorted(), ["alice", "bob"])
    }))
})
