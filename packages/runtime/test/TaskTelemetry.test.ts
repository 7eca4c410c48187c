import { assert, describe, it } from "@effect/vitest"
import type { Agent } from "@perennial/domain/Agent"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import * as TaskTelemetry from "@perennial/runtime/TaskTelemetry"
import { Context, Duration, Effect, Latch, Layer, Metric, Schema, type Scope, Tracer } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { PrometheusMetrics } from "effect/observability"
import { TestClock } from "effect/testing"
import { settle, untilEnded } from "./support/invariants.ts"
import { shared, startProcess, type Store } from "./support/processes.ts"
import { SpanRecorder } from "./support/spanRecorder.ts"

const secret = "SECRET"

const tools = Toolkit.make(
  Tool.make("hang", { parameters: Schema.Struct({ what: Schema.String }), success: Schema.String })
)

/** An agent that calls a tool which does not end before `release`, and then answers. */
const makeAgent = (release: Latch.Latch, begun: Latch.Latch): Effect.Effect<Agent> =>
  LlmAgent.make({
    agentId: "traced",
    systemPrompt: secret,
    tools,
    model: ScriptedModel.layer({
      otherwise: ({ prompt }) =>
        prompt.content.some(({ role }) => role === "tool")
          ? [`${secret} is done.`]
          : [`${secret} begins.`, { tool: "hang", params: { what: secret }, id: "call" }]
    })
  }).pipe(
    Effect.provide(tools.toLayer({
      hang: ({ what }) => begun.open.pipe(Effect.andThen(release.await), Effect.as(what))
    })),
    Effect.scoped
  )

const start = (both: Store, agent: Agent, tracer: Tracer.Tracer) =>
  Effect.withTracer(startProcess(both, [agent], {}, TaskTelemetry.layer()), tracer)

const withoutContents = (tracer: Tracer.Tracer) =>
  Effect.runSync(
    Effect.scoped(Effect.map(
      Effect.withTracer(Layer.build(TaskTelemetry.layerWithoutContents), tracer),
      Context.get(Tracer.Tracer)
    ))
  )

const text = ({ spans }: SpanRecorder): string =>
  JSON.stringify(spans, (_, value: unknown) => typeof value === "bigint" ? String(value) : value)

describe("TaskTelemetry", () => {
  it.effect("a task whose process died is one trace: the next owner writes the spans that were lost", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const recorder = new SpanRecorder()
      const release = yield* Latch.make()
      const begun = yield* Latch.make()
      const agent = yield* makeAgent(release, begun)
      const a = recorder.process("A", withoutContents)
      const first = yield* start(both, agent, a.tracer)
      const { conversationId, id } = yield* first.manager.start({ message: secret }).pipe(
        Effect.withSpan("POST"),
        Effect.withTracer(a.tracer)
      )
      yield* begun.await
      a.kill()
      first.line.cut()
      yield* release.open
      yield* start(both, agent, recorder.process("B", withoutContents).tracer)
      yield* settle
      yield* TestClock.adjust("12 seconds")
      yield* untilEnded(both, id)
      assert.deepStrictEqual(recorder.tree, [
        "POST [A]",
        "  TaskManager.start [A]",
        "    task traced [B]",
        "      task.queue [A]",
        "      invoke_agent traced [B] process_died",
        "        chat [A]",
        "        execute_tool hang [B] process_died",
        "      invoke_agent traced [B]",
        "        chat [B]"
      ])
      assert.strictEqual(new Set(recorder.spans.map(({ traceId }) => traceId)).size, 1)
      const [died, next] = recorder.spans.filter(({ name }) => name.startsWith("invoke_agent"))
      assert.deepStrictEqual(next?.links, died && [died.spanId])
      assert.deepInclude(recorder.spans.find(({ name }) => name === "task traced")?.attributes, {
        "perennial.task.id": id,
        "perennial.task.attempt": 2,
        "perennial.task.status": "completed",
        "gen_ai.conversation.id": conversationId
      })
      assert.notInclude(text(recorder), secret)
      const metrics = yield* PrometheusMetrics.format()
      for (
        const line of [
          `perennial_tasks_accepted{gen_ai_agent_id="traced"} 1`,
          `perennial_tasks_ended{gen_ai_agent_id="traced",perennial_task_status="completed"} 1`,
          `perennial_task_attempts{gen_ai_agent_id="traced",perennial_attempt_kind="first"} 1`,
          `perennial_task_attempts{gen_ai_agent_id="traced",perennial_attempt_kind="owner_died"} 1`,
          `perennial_task_queue_duration_count{gen_ai_agent_id="traced"} 1`,
          `perennial_task_first_event_duration_count{gen_ai_agent_id="traced"} 1`,
          `perennial_steps{gen_ai_agent_id="traced"} 2`,
          `perennial_tasks_active 0`
        ]
      ) assert.include(metrics, `${line}\n`)
      assert.match(metrics, /perennial_store_errors\{db_operation_name="heartbeat"\} \d/)
      assert.notInclude(metrics, secret)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("a task that was started without a trace is the root of its own", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const recorder = new SpanRecorder()
      const agent = yield* makeAgent(yield* Latch.make(true), yield* Latch.make())
      const { manager } = yield* start(both, agent, recorder.process("A").tracer)
      const { id } = yield* manager.start({ message: "x" })
      yield* manager.await(id)
      assert.deepStrictEqual(recorder.tree, [
        "task traced [A]",
        "  task.queue [A]",
        "  invoke_agent traced [A]",
        "    chat [A]",
        "    execute_tool hang [A]",
        "    chat [A]"
      ])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("a trace that is not sampled has no spans; a task without a tracer makes none, and metrics", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const recorder = new SpanRecorder()
      const agent = yield* makeAgent(yield* Latch.make(true), yield* Latch.make())
      const { tracer } = recorder.process("A")
      const { manager } = yield* start(both, agent, tracer)
      const { id } = yield* manager.start({ message: "x" }).pipe(
        Effect.withSpan("POST", { sampled: false }),
        Effect.withTracer(tracer)
      )
      yield* manager.await(id)
      assert.deepStrictEqual(recorder.tree, [])
      assert.include(yield* PrometheusMetrics.format(), `perennial_steps{gen_ai_agent_id="traced"} 2\n`)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("of a sampled part of the traces every span is recorded, of the others none; metrics count all tasks", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const recorder = new SpanRecorder()
      const agent = yield* makeAgent(yield* Latch.make(true), yield* Latch.make())
      const { tracer } = recorder.process("A")
      const half = Effect.provide(TaskTelemetry.layerSampled(0.5))
      const { manager } = yield* Effect.withTracer(
        half(startProcess(both, [agent], {}, TaskTelemetry.layer())),
        tracer
      )
      const start = manager.start({ message: "x" })
      const requested = start.pipe(Effect.withSpan("POST"), half, Effect.withTracer(tracer))
      const roots = ["task traced [A]", "POST [A]"]
      const spans = [6, 8]
      for (const [i, started] of [start, requested].entries()) {
        recorder.spans.length = 0
        for (let n = 0; n < 30; n++) yield* manager.await((yield* started).id)
        const recorded = recorder.tree.filter((line) => line === roots[i]).length
        // About 15, and never 0 or 30.
        assert.isTrue(recorded > 0 && recorded < 30)
        assert.strictEqual(recorder.spans.length, recorded * (spans[i] ?? 0))
      }
      assert.include(yield* PrometheusMetrics.format(), `perennial_steps{gen_ai_agent_id="traced"} 120\n`)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("not more traces begin in a second than the bound allows, each of them whole; metrics count all tasks", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const recorder = new SpanRecorder()
      const agent = yield* makeAgent(yield* Latch.make(true), yield* Latch.make())
      const { tracer } = recorder.process("A")
      const bounded = yield* Layer.build(TaskTelemetry.layerSampled(1, 5)).pipe(Effect.withTracer(tracer))
      const { manager } = yield* Effect.provideContext(
        startProcess(both, [agent], {}, TaskTelemetry.layer()),
        Context.merge(yield* Effect.context<Scope.Scope>(), bounded)
      )
      const start = manager.start({ message: "x" })
      const requested = start.pipe(Effect.withSpan("POST"), Effect.provideContext(bounded))
      const roots = ["task traced [A]", "POST [A]"]
      for (const [i, started] of [start, requested].entries()) {
        for (const seconds of [1, 10]) {
          yield* TestClock.adjust(Duration.seconds(seconds))
          recorder.spans.length = 0
          for (let n = 0; n < 12; n++) yield* manager.await((yield* started).id)
          assert.strictEqual(recorder.tree.filter((line) => line === roots[i]).length, 5)
          assert.strictEqual(recorder.spans.length, 5 * (6 + 2 * i))
        }
      }
      assert.include(yield* PrometheusMetrics.format(), `perennial_steps{gen_ai_agent_id="traced"} 96\n`)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("an application's key of the log context is no trace of the task", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const recorder = new SpanRecorder()
      const agent = yield* makeAgent(yield* Latch.make(true), yield* Latch.make())
      const { manager } = yield* start(both, agent, recorder.process("A").tracer)
      const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
      const { id } = yield* manager.start({ message: "x", logContext: { traceparent } })
      yield* manager.await(id)
      assert.notInclude(text(recorder), "4bf92f3577b34da6a3ce929d0e0e4736")
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})
