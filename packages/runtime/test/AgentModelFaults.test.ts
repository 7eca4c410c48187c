/** Faults of a model provider, over the real SDK: each task ends with the right event, and no task hangs. */
import { assert, describe, it } from "@effect/vitest"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { LlmAgent } from "@perennial/runtime"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as Fake from "@perennial/runtime/FakeAnthropic"
import { Context, Effect, Fiber, Layer, Queue, Redacted, Stream } from "effect"
import { TestClock } from "effect/testing"
import { brief } from "./support/agentTask.ts"
import { Effects } from "./support/agentToolkit.ts"
import { joinInTime, settle } from "./support/invariants.ts"
import { env, run, runWith, type Summary, summary } from "./support/overAnthropic.ts"

const { FakeAnthropic } = Fake

const whole: Fake.Reply = { actions: [{ text: ["who", "le"] }] }

/** An answer with thinking, text and tool calls. The called tool records its executions. */
const recorded: Fake.StreamReply = {
  actions: [
    { thinking: ["let me ", "see"], signature: "sig" },
    { text: ["I ", "look"] },
    { toolUse: { id: "toolu_1", name: "weather", input: { city: "Oslo" } } }
  ]
}
const recordedEvents = 19

type Case = readonly [name: string, replies: ReadonlyArray<Fake.Reply>, expected: Summary]

const answered = (...messages: ReadonlyArray<string>): Summary => ({ messages, retries: [], end: "done" })
const repeated = (...retries: ReadonlyArray<string>): Summary => ({ messages: ["whole"], retries, end: "done" })
const failed = (error: string, ...messages: ReadonlyArray<string>): Summary => ({
  messages,
  retries: [],
  end: `error ${error}`
})

const weather = { id: "toolu_1", name: "weather", input: { city: "Oslo" } }

const stopReasons: ReadonlyArray<Case> = [
  ["end_turn", [{ actions: [{ text: ["fine"] }] }], answered("fine")],
  ["stop_sequence", [{ actions: [{ text: ["fine"] }], stopReason: "stop_sequence" }], answered("fine")],
  ["tool_use", [{ actions: [{ toolUse: weather }] }, whole], answered("", "whole")],
  ["a reason that is new", [{ actions: [{ text: ["fine"] }], stopReason: "new_reason" as never }], answered("fine")],
  ["max_tokens in text", [{ actions: [{ text: ["half a"] }], stopReason: "max_tokens" }], answered("half a")],
  [
    "max_tokens during a call",
    [{ actions: [{ cutToolUse: { ...weather, json: "{\"city\":\"Os" } }], stopReason: "max_tokens" }, whole],
    answered("", "whole")
  ],
  [
    "max_tokens during thinking",
    [{ actions: [{ thinking: ["h", "m"], signature: "s" }], stopReason: "max_tokens" }],
    failed("AnswerCut")
  ],
  [
    "pause_turn",
    [
      { actions: [{ text: ["one, "] }], stopReason: "pause_turn" },
      { actions: [{ text: ["two, "] }], stopReason: "pause_turn" },
      { actions: [{ text: ["three"] }] }
    ],
    answered("one, two, three")
  ],
  [
    "pause_turn with a call",
    [{ actions: [{ text: ["one, "] }, { toolUse: weather }], stopReason: "pause_turn" }, whole],
    answered("one, ", "whole")
  ],
  [
    "pause_turn, and then a cut",
    [
      { actions: [{ text: ["one, "] }], stopReason: "pause_turn" },
      { actions: [{ text: ["two"] }, { cut: "end" }] },
      whole
    ],
    repeated("ModelUnreachable")
  ],
  [
    "pause_turn without an end",
    Array.from({ length: 11 }, (_, i) => ({ actions: [{ text: [`${i} `] }], stopReason: "pause_turn" })),
    failed("ModelPaused", `partial: ${Array.from({ length: 11 }, (_, i) => `${i} `).join("")}`)
  ],
  ["refusal", [{ actions: [{ text: ["I "] }], stopReason: "refusal" }], failed("ModelRefused")],
  [
    "model_context_window_exceeded",
    [{ actions: [{ text: ["half a"] }], stopReason: "model_context_window_exceeded" }],
    failed("ContextTooLong", "partial: half a")
  ]
]

const http = (status: number, type: string, message = "Oh") => Fake.errorReply(status, type, message)
const midStream = (type: string): Fake.Reply => ({
  actions: [{ text: ["par", "t"] }, { error: { type, message: "Oh" } }]
})
const spendLimit: Fake.HttpReply = {
  status: 429,
  body: {
    type: "error",
    error: { type: "rate_limit_error", message: "Oh", details: { error_code: "enforced_spend_limit_reached" } }
  }
}

const errors: ReadonlyArray<Case> = [
  ["400", [http(400, "invalid_request_error")], failed("ModelRequestInvalid")],
  ["400, too long", [http(400, "invalid_request_error", "prompt is too long: 9 > 8")], failed("ContextTooLong")],
  ["401", [Fake.unauthorized], failed("ModelUnauthorized")],
  ["402", [http(402, "billing_error")], failed("ModelQuotaExhausted")],
  ["403", [http(403, "permission_error")], failed("ModelForbidden")],
  ["404", [http(404, "not_found_error")], failed("ModelNotFound")],
  ["408", [http(408, "timeout_error"), whole], repeated("ModelOverloaded")],
  ["409", [http(409, "conflict_error"), whole], repeated("ModelOverloaded")],
  ["413", [http(413, "request_too_large")], failed("ContextTooLong")],
  ["429", [Fake.rateLimited(0.01), whole], repeated("ModelRateLimited")],
  ["429 with a retry-after of an hour", [Fake.rateLimited(3600)], failed("ModelRateLimited")],
  ["429, the spend limit", [spendLimit], failed("ModelQuotaExhausted")],
  ["500", [http(500, "api_error"), whole], repeated("ModelOverloaded")],
  ["502 of a proxy", [{ status: 502, body: "<html>" }, whole], repeated("ModelOverloaded")],
  ["504", [http(504, "timeout_error"), whole], repeated("ModelOverloaded")],
  [
    "529 with a retry-after of an hour",
    [Fake.errorReply(529, "overloaded_error", "Oh", { "retry-after": "3600" })],
    failed("ModelOverloaded")
  ],
  [
    "a reset before the headers",
    [{ status: 200, body: {}, instead: "reset" }, whole],
    repeated("ModelUnreachable")
  ],
  ["529 twice", [Fake.overloaded, Fake.overloaded, whole], repeated("ModelOverloaded", "ModelOverloaded")],
  [
    "529 at every try",
    Array.from({ length: 5 }, () => Fake.overloaded),
    { ...failed("ModelOverloaded"), retries: Array.from({ length: 4 }, () => "ModelOverloaded") }
  ],
  ["200 of a proxy", [{ status: 200, body: "<html>" }, whole], repeated("ModelUnreachable")],
  ["overloaded_error in the stream", [midStream("overloaded_error"), whole], repeated("ModelOverloaded")],
  ["api_error in the stream", [midStream("api_error"), whole], repeated("ModelOverloaded")],
  ["timeout_error in the stream", [midStream("timeout_error"), whole], repeated("ModelOverloaded")],
  ["rate_limit_error in the stream", [midStream("rate_limit_error"), whole], repeated("ModelRateLimited")],
  [
    "invalid_request_error in the stream",
    [midStream("invalid_request_error")],
    failed("ModelRequestInvalid", "partial: part")
  ],
  [
    "authentication_error in the stream",
    [midStream("authentication_error")],
    failed("ModelUnauthorized", "partial: part")
  ],
  ["permission_error in the stream", [midStream("permission_error")], failed("ModelForbidden", "partial: part")],
  ["billing_error in the stream", [midStream("billing_error")], failed("ModelQuotaExhausted", "partial: part")],
  ["not_found_error in the stream", [midStream("not_found_error")], failed("ModelNotFound", "partial: part")],
  ["an unknown error in the stream", [midStream("new_error"), whole], repeated("ModelOverloaded")],
  [
    "an event that is not JSON",
    [{ actions: [{ text: ["par"] }, { raw: "event: x\ndata: {bad\n\n" }] }, whole],
    repeated("ModelUnreachable")
  ],
  [
    "an event that breaks the protocol",
    [{ actions: [{ raw: "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0}\n\n" }] }],
    failed("ModelResponseInvalid")
  ],
  [
    "a body that ends in the middle of an event",
    [{ actions: [{ text: ["par"] }, { raw: "event: content_block_delta\ndata: {\"ty" }, { cut: "end" }] }, whole],
    repeated("ModelUnreachable")
  ]
]

/** The same cases with a server that leaves out fields whose value is null. */
const bare = stopReasons.map(([name, replies, expected]): Case => [
  `${name}, of a compatible server`,
  replies.map((reply) => "actions" in reply ? { ...reply, bare: true } : reply),
  expected
])

describe("a task over the Anthropic SDK", () => {
  it.live.each([...stopReasons, ...bare, ...errors])(
    "ends as expected: %s",
    ([, replies, expected]) =>
      Effect.gen(function*() {
        const fake = yield* FakeAnthropic
        yield* fake.push(...replies)
        assert.deepStrictEqual(summary(yield* run), expected)
        assert.strictEqual((yield* fake.requests).length, replies.length)
      }).pipe(Effect.provide(env))
  )

  const boundaries = Array.from({ length: recordedEvents }, (_, after) => after)
  const ends = boundaries.flatMap((after) => [[after, "end"], [after, "reset"]] as const)

  it.live.each(ends)(
    "P10: cut after event %i of 19 (%s), the request is repeated and the tool runs once",
    (stop) =>
      Effect.gen(function*() {
        const fake = yield* FakeAnthropic
        const [after, how] = stop
        yield* fake.push({ ...recorded, stop: { after, how } }, recorded, whole)
        assert.deepStrictEqual(summary(yield* run), {
          messages: ["I look", "whole"],
          retries: ["ModelUnreachable"],
          end: "done"
        })
        assert.deepStrictEqual(yield* Effects.all, ["weather Oslo"])
      }).pipe(Effect.provide(env))
  )

  it.effect.each(boundaries)(
    "P10: silent after event %i of 19, the request is repeated and the tool runs once",
    (after) =>
      Effect.gen(function*() {
        const fake = yield* FakeAnthropic
        yield* fake.push({ ...recorded, stop: { after, how: "hang" } }, recorded)
        yield* fake.otherwise(() => whole)
        const log = yield* joinInTime(yield* Effect.forkChild(run))
        assert.strictEqual(log.at(-1)?.event.type, "done")
        assert.include(summary(log).retries, "ModelUnreachable")
        assert.deepStrictEqual(yield* Effects.all, ["weather Oslo"])
        assert.strictEqual(yield* (yield* fake.nextRequest).end, "aborted")
      }).pipe(Effect.provide(env))
  )

  it.live("the request is repeated if the headers do not arrive in time", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ status: 200, body: {}, instead: "hang" })
      yield* fake.otherwise(() => whole)
      const agent = LlmAgent.layer({
        agentId: "agent-1",
        systemPrompt: "",
        retry: { baseDelay: "1 millis" },
        model: AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: fake.url, headersTimeout: "1 second" })
      })
      const log = yield* runWith(agent)
      const { end, messages, retries } = summary(log)
      assert.deepStrictEqual([messages, end], [["whole"], "done"])
      // On a busy machine the headers of another answer may be late, too.
      assert.deepStrictEqual([...new Set(retries)], ["ModelUnreachable"])
      assert.strictEqual(yield* (yield* fake.nextRequest).end, "aborted")
    }).pipe(Effect.provide(FakeAnthropic.layer)))

  it.live("an answer is complete with its last event, even if the connection breaks or stays open", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ ...recorded, stop: { after: recordedEvents, how: "reset" } }, {
        ...recorded,
        actions: [{ text: ["whole"] }],
        // message_start, ping, start, delta, stop, message_delta, message_stop
        stop: { after: 7, how: "hang" }
      })
      assert.deepStrictEqual(summary(yield* run), answered("I look", "whole"))
    }).pipe(Effect.provide(env)))

  it.effect("the request is repeated after a silence before the headers", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ status: 200, body: {}, instead: "hang" })
      yield* fake.otherwise(() => whole)
      const log = yield* joinInTime(yield* Effect.forkChild(run))
      assert.strictEqual(log.at(-1)?.event.type, "done")
      assert.include(summary(log).retries, "ModelUnreachable")
    }).pipe(Effect.provide(env)))

  it.effect("an answer of one word every 110 seconds is not a silence", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      const words = Array.from({ length: 10 }, (_, i) => `${i} `)
      const go = yield* Queue.unbounded<void>()
      yield* fake.push({
        actions: words.flatMap((word) => [{ run: Queue.take(go) }, { text: [word] }])
      })
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "hi" })
      const seen = yield* Queue.unbounded<StoredEvent>()
      const reader = yield* (yield* manager.events(id)).pipe(
        Stream.tap((event) => Queue.offer(seen, event)),
        Stream.runCollect,
        Effect.forkChild
      )
      yield* fake.nextRequest
      for (const _ of words) {
        yield* settle
        yield* TestClock.adjust("110 seconds")
        yield* Queue.offer(go, undefined)
        while ((yield* Queue.take(seen)).event.type !== "text");
      }
      const log = yield* Fiber.join(reader)
      assert.deepStrictEqual(summary(log), answered(words.join("")))
    }).pipe(Effect.provide(env)))

  it.live("a provider that refuses every connection ends the task as unreachable", () =>
    Effect.gen(function*() {
      const gone = yield* Effect.scoped(Effect.map(Layer.build(FakeAnthropic.layer), Context.get(FakeAnthropic)))
      const unreachable = LlmAgent.layer({
        agentId: "agent-1",
        systemPrompt: "",
        retry: { times: 2, baseDelay: "1 millis" },
        model: AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: gone.url })
      })
      const log = yield* runWith(unreachable)
      assert.deepStrictEqual(summary(log), {
        messages: [],
        retries: ["ModelUnreachable", "ModelUnreachable"],
        end: "error ModelUnreachable"
      })
      assert.notInclude(brief(log).join(), "127.0.0.1")
    }))
})
