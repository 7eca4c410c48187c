/** The messages of webhooks belong to the trace of the request that started the task. */
import { assert, describe, it } from "@effect/vitest"
import { Agents } from "@perennial/domain/Agent"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { UserId } from "@perennial/domain/Ids"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import { TaskManager } from "@perennial/domain/TaskManager"
import { topics, WebhookId } from "@perennial/domain/Webhook"
import { WebhookStore } from "@perennial/domain/WebhookStore"
import { NoAnswer, WebhookClient } from "@perennial/http/WebhookClient"
import * as Webhooks from "@perennial/http/Webhooks"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import * as TaskTelemetry from "@perennial/runtime/TaskTelemetry"
import { Context, Effect, Layer, Logger, Queue, References } from "effect"
import { TestClock } from "effect/testing"
import { SpanRecorder } from "../../runtime/test/support/spanRecorder.ts"
import { makeEcho } from "./support.ts"

const alice = UserId.make("alice")
const hook = { id: WebhookId.make("a"), userId: alice }

/** A process A that executes tasks, and a process B that sends messages. The receiver answers with 204, or with `answers`. */
const make = Effect.gen(function*() {
  const recorder = new SpanRecorder()
  const a = recorder.process("A").tracer
  const echo = makeEcho()
  const answers: Array<number | "none"> = []
  const settled = yield* Queue.unbounded<string>()
  const memory = yield* Layer.build(MemoryStore.layer)
  const store = Context.get(memory, WebhookStore)
  yield* store.put(hook, {
    url: "https://receiver.example/secret",
    topics,
    content: false,
    secrets: [{ value: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }]
  })
  const manager = Context.get(
    yield* Layer.build(
      TaskRuntime.layer.pipe(
        Layer.provide(TaskTelemetry.layer()),
        Layer.provide(Webhooks.layerAgents(Agents.layer([echo.agent]))),
        Layer.provide(Layer.succeedContext(memory))
      )
    ).pipe(Effect.withTracer(a)),
    TaskManager
  )
  const client = WebhookClient.of({
    check: () => Effect.void,
    post: () =>
      Effect.suspend(() => {
        const answer = answers.shift() ?? 204
        return answer === "none"
          ? Effect.fail(new NoAnswer({ problem: "No answer: connect ECONNREFUSED receiver.example." }))
          : Effect.succeed(answer)
      })
  })
  const observed = WebhookStore.of({
    ...store,
    // A store that makes spans, as SQL clients do.
    cursor: Effect.withSpan(store.cursor, "sql.execute"),
    enabled: (users) => Effect.withSpan(store.enabled(users), "sql.execute"),
    settle: (claim, outcome) => Effect.andThen(store.settle(claim, outcome), Queue.offer(settled, outcome.type))
  })
  yield* Layer.build(
    Webhooks.layer().pipe(
      Layer.provide(Layer.succeed(WebhookClient, client)),
      Layer.provide(Layer.merge(Layer.succeedContext(memory), Layer.succeed(WebhookStore, observed)))
    )
  ).pipe(Effect.withTracer(recorder.process("B").tracer))
  const asAlice = Effect.provideService(CurrentUser, alice)
  const start = (message: string, sampled = true) =>
    asAlice(manager.start({ message })).pipe(
      Effect.withSpan("POST", { sampled, root: true }),
      Effect.withTracer(a)
    )
  return { answers, asAlice, manager, recorder, settled: Queue.take(settled), start }
})

/** The annotations of the log lines about deliveries. */
const logged: Array<Readonly<Record<string, unknown>>> = []
const collecting = Logger.make(({ fiber }) => {
  const annotations = fiber.getRef(References.CurrentLogAnnotations)
  if (annotations["deliveryId"] !== undefined) logged.push(annotations)
})

describe("the trace of webhooks", () => {
  it.effect("an end is told in the trace of the request, by another process, with the outcome of each attempt", () =>
    Effect.gen(function*() {
      const { answers, asAlice, manager, recorder, settled, start } = yield* make
      answers.push("none", 500)
      const { id } = yield* start("a")
      yield* asAlice(manager.await(id))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* settled, "failed")
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(yield* settled, "failed")
      yield* TestClock.adjust("6 minutes")
      assert.strictEqual(yield* settled, "delivered")
      assert.deepStrictEqual(recorder.tree, [
        "POST [A]",
        "  TaskManager.start [A]",
        "    task echo [A]",
        "      task.queue [A]",
        "      invoke_agent echo [A]",
        "    webhook task.completed [B] The message did not arrive.",
        "    webhook task.completed [B] The message did not arrive.",
        "    webhook task.completed [B]"
      ])
      const attempts = recorder.spans.filter(({ process }) => process === "B").map(({ attributes }) => attributes)
      assert.deepStrictEqual(
        attempts.map((attributes) => [
          attributes["perennial.webhook.attempt"],
          attributes["http.response.status_code"],
          attributes["error.type"]
        ]),
        [[1, undefined, "NoAnswer"], [2, 500, undefined], [3, 204, undefined]]
      )
      assert.deepInclude(attempts[0], { "perennial.webhook.id": "a", "perennial.task.id": id })
      const [span] = recorder.spans
      assert.deepInclude(logged[0], { webhookId: "a", attempt: 1, taskId: id, userId: alice, traceId: span?.traceId })
      // Users choose the addresses, and an address may be a secret.
      const text = JSON.stringify(recorder.spans, (_, value: unknown) => typeof value === "bigint" ? `${value}` : value)
      assert.notInclude(text, "receiver.example")
    }).pipe(Effect.provide(Logger.layer([collecting]))))

  it.effect("an approval is told in the trace of the attempt that waits", () =>
    Effect.gen(function*() {
      const { asAlice, manager, recorder, settled, start } = yield* make
      const { id } = yield* start("approve")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* settled, "delivered")
      yield* asAlice(manager.cancel(id))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* settled, "delivered")
      assert.includeMembers([...recorder.tree], [
        "      invoke_agent echo [A] Interrupt",
        "        webhook task.approval [B]",
        "    webhook task.cancelled [B]"
      ])
    }))

  it.effect("a trace that is not sampled has no spans of webhooks, and neither has a sender without a trace to follow", () =>
    Effect.gen(function*() {
      const { recorder, settled, start } = yield* make
      yield* start("a", false)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* settled, "delivered")
      assert.deepStrictEqual(recorder.tree, [])
    }))
})
