/** Failures of requests to Claude, and interruptions: they must close the connection. */
import { assert, describe, it } from "@effect/vitest"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as Fake from "@perennial/runtime/FakeAnthropic"
import * as ModelError from "@perennial/runtime/ModelError"
import { CurrentModelActivity } from "@perennial/runtime/ModelSettings"
import { Deferred, Duration, Effect, Fiber, Layer, Logger, Queue, Redacted, References, Stream } from "effect"
import { LanguageModel, type Prompt } from "effect/ai"

const { FakeAnthropic } = Fake

const env = Layer.unwrap(
  Effect.map(FakeAnthropic, ({ url }) => AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: url }))
).pipe(Layer.provideMerge(Layer.mergeAll(FakeAnthropic.layer, Logger.layer([]))))

const ask = (prompt: Prompt.RawInput) =>
  Stream.unwrap(Effect.map(LanguageModel.LanguageModel, (model) => model.streamText({ prompt })))

describe("AnthropicModel, failures", () => {
  const invalid = (message: string) => Fake.errorReply(400, "invalid_request_error", message)
  const failures: ReadonlyArray<readonly [name: string, reply: Fake.Reply, reason: string, retryable: boolean]> = [
    ["429 with retry-after", Fake.rateLimited(7), "RateLimitError", true],
    ["529", Fake.overloaded, "InternalProviderError", true],
    ["500 of a proxy", { status: 500, body: "not json" }, "InternalProviderError", true],
    ["403 of a proxy", { status: 403, body: "not json" }, "AuthenticationError", false],
    ["401", Fake.unauthorized, "AuthenticationError", false],
    ["400", invalid("messages: bad"), "InvalidRequestError", false],
    ["402", Fake.errorReply(402, "billing_error", "no money"), "QuotaExhaustedError", false],
    [
      "an error in the middle of the stream",
      { actions: [{ text: ["part"] }, { error: { type: "overloaded_error", message: "Overloaded" } }] },
      "InternalProviderError",
      true
    ],
    ["a reset connection", { actions: [{ text: ["part"] }, { cut: "reset" }] }, "NetworkError", true],
    [
      "a stream that ends without message_stop",
      { actions: [{ text: ["part"] }, { cut: "end" }] },
      "NetworkError",
      true
    ],
    [
      "a stream that ends in the middle of an event",
      { actions: [{ raw: "event: x\ndata: {\"ty" }, { cut: "end" }] },
      "NetworkError",
      true
    ],
    ["an event that is not JSON", { actions: [{ raw: "event: x\ndata: {bad\n\n" }] }, "NetworkError", true]
  ]

  it.live.each(failures)("failure: %s", ([, reply, reason, retryable]) =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(reply)
      const error = yield* Effect.flip(Stream.runDrain(ask("hi")))
      assert.strictEqual(error.reason._tag, reason)
      assert.strictEqual(error.isRetryable, retryable)
      assert.strictEqual((yield* fake.requests).length, 1)
    }).pipe(Effect.provide(env)))

  it.live("a non-streaming request is not repeated if the answer breaks the protocol", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ status: 200, body: { type: "message" } })
      const { reason } = yield* Effect.flip(LanguageModel.generateText({ prompt: "hi" }))
      assert.strictEqual(reason._tag, "InvalidResponseError")
      assert.isFalse(reason.isRetryable)
    }).pipe(Effect.provide(env)))

  const waits: ReadonlyArray<readonly [headers: Readonly<Record<string, string>>, millis: number | undefined]> = [
    [{ "retry-after": "7" }, 7_000],
    [{ "retry-after": "0.5" }, 500],
    [{ "retry-after": "Thu, 01 Jan 1970 00:00:07 GMT" }, 7_000],
    [{ "retry-after": "Wed, 31 Dec 1969 23:59:59 GMT" }, 0],
    [{ "retry-after-ms": "1500", "retry-after": "7" }, 1_500],
    [{ "retry-after-ms": "soon", "retry-after": "7" }, 7_000],
    [{ "retry-after": "soon" }, undefined],
    [{}, undefined]
  ]

  // TestClock begins at 1970-01-01T00:00Z.
  it.effect.each(waits)("the wait that the headers name: %j is %s ms", ([headers, millis]) =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(Fake.errorReply(429, "rate_limit_error", "Oh", headers))
      const { retryAfter } = yield* Effect.flip(Stream.runDrain(ask("hi")))
      assert.strictEqual(retryAfter === undefined ? undefined : Duration.toMillis(retryAfter), millis)
    }).pipe(Effect.provide(env)))

  it.live("reads retry-after, and has an error reason for a context that is too long", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(Fake.rateLimited(7), invalid("prompt is too long: 300000 tokens > 200000 maximum"))
      const limited = yield* Effect.flip(Stream.runDrain(ask("hi")))
      assert.deepStrictEqual(limited.retryAfter, Duration.seconds(7))
      const { reason } = yield* Effect.flip(Stream.runDrain(ask("hi")))
      assert.isTrue(reason._tag === "InvalidRequestError" && reason.constraint === ModelError.contextExceeded)
    }).pipe(Effect.provide(env)))

  it.live("P7: an interruption during the stream closes the connection", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ actions: [{ text: ["a"] }, { hang: true }] })
      const got = yield* Deferred.make<void>()
      const fiber = yield* ask("hi").pipe(
        Stream.runForEach((part) => part.type === "text-delta" ? Deferred.succeed(got, undefined) : Effect.void),
        Effect.forkChild
      )
      yield* Deferred.await(got)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* (yield* fake.nextRequest).end, "aborted")
    }).pipe(Effect.provide(env)))

  it.live("P7: an interruption before the headers closes the connection", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ status: 200, body: {}, instead: "hang" })
      const fiber = yield* Effect.forkChild(Stream.runDrain(ask("hi")))
      const request = yield* fake.nextRequest
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* request.end, "aborted")
    }).pipe(Effect.provide(env)))

  it.live("the connection is closed when the caller stops reading the stream", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ actions: [{ text: ["a"] }, { hang: true }] })
      yield* ask("hi").pipe(Stream.filter((part) => part.type === "text-delta"), Stream.take(1), Stream.runDrain)
      assert.strictEqual(yield* (yield* fake.nextRequest).end, "aborted")
    }).pipe(Effect.provide(env)))

  it.live("each ping is reported to the agent as activity, since the agent bounds the time of silence", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      const pings = yield* Queue.unbounded<void>()
      const heard = yield* Queue.unbounded<void>()
      const pinged = [{ run: Queue.take(pings) }, { ping: true }] as const
      yield* fake.push({ actions: [...pinged, ...pinged, { hang: true }] })
      const fiber = yield* Stream.runDrain(ask("hi")).pipe(
        Effect.provideService(CurrentModelActivity, () => void Queue.offerUnsafe(heard, undefined)),
        Effect.forkChild
      )
      // The beginning of the answer is reported as activity, too.
      yield* Queue.take(heard)
      for (const _ of [1, 2]) {
        yield* Queue.clear(heard)
        yield* Queue.offer(pings, undefined)
        yield* Queue.take(heard)
      }
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(env)))

  const logged = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
    const lines: Array<string> = []
    const logger = Logger.make(({ fiber, logLevel, message }) => {
      const { requestId } = fiber.getRef(References.CurrentLogAnnotations)
      lines.push(`${logLevel} ${String(Array.isArray(message) ? message[0] : message)} ${String(requestId)}`)
    })
    yield* Effect.exit(effect).pipe(
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "Debug")
    )
    return lines
  })

  it.live("log lines have Anthropic's id of the request, at whatever point it fails", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(
        { actions: [{ text: ["ok"] }] },
        Fake.overloaded,
        { actions: [{ text: ["part"] }, { cut: "end" }] },
        { actions: [{ error: { type: "api_error", message: "Oh" } }] },
        { actions: [{ text: ["ok"] }] },
        Fake.overloaded
      )
      const stream = Stream.runDrain(ask("hi"))
      const whole = LanguageModel.generateText({ prompt: "hi" })
      assert.deepStrictEqual(
        yield* logged(Effect.forEach([stream, stream, stream, stream, whole, whole], (effect) => Effect.exit(effect))),
        [
          "Debug The model answers. req_1",
          "Info A model request failed. req_2",
          "Debug The model answers. req_3",
          "Info A model request failed. req_3",
          "Debug The model answers. req_4",
          "Info A model request failed. req_4",
          "Debug The model answers. req_5",
          "Info A model request failed. req_6"
        ]
      )
    }).pipe(Effect.provide(env)))

  it.live("an answer that fills the context window is an error, with and without streaming", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      const full: Fake.Reply = { actions: [{ text: ["part"] }], stopReason: "model_context_window_exceeded" }
      yield* fake.push(full, full)
      for (const attempt of [Stream.runDrain(ask("hi")), Effect.asVoid(LanguageModel.generateText({ prompt: "hi" }))]) {
        const { reason } = yield* Effect.flip(attempt)
        assert.isTrue(reason._tag === "InvalidRequestError" && reason.constraint === ModelError.contextExceeded)
      }
    }).pipe(Effect.provide(env)))
})
