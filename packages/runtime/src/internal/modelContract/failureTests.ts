/** The contract of a provider: failures. Repeats, fallbacks and what users are told depend on the reason of an error. */
import { assert } from "@effect/vitest"
import { Duration, Effect, Record, Result, Stream } from "effect"
import type { AiError } from "effect/ai"
import type { FailureKind, Reply } from "../../FakeReply.ts"
import * as ModelError from "../../ModelError.ts"
import { ask, type ContractTest, contractTest, finishOf } from "./contractTest.ts"

interface Expected {
  readonly reason: AiError.AiErrorReason["_tag"]
  readonly retryable: boolean
  readonly constraint?: string
}

const temporary: Expected = { reason: "InternalProviderError", retryable: true }
const rejected = (constraint?: string): Expected => ({
  reason: "InvalidRequestError",
  retryable: false,
  ...(constraint === undefined ? {} : { constraint })
})

const kinds: Readonly<Record<Exclude<FailureKind, "refused">, Expected>> = {
  "rate-limited": { reason: "RateLimitError", retryable: true },
  overloaded: temporary,
  internal: temporary,
  unauthorized: { reason: "AuthenticationError", retryable: false },
  forbidden: { reason: "AuthenticationError", retryable: false },
  quota: { reason: "QuotaExhaustedError", retryable: false },
  "unknown-model": rejected(ModelError.unknownModel),
  "too-long": rejected(ModelError.contextExceeded),
  "unreadable-file": rejected(ModelError.fileRefused),
  invalid: rejected()
}

const summaryOf = ({ isRetryable, reason }: AiError.AiError): Expected => ({
  reason: reason._tag,
  retryable: isRetryable,
  ...(reason._tag === "InvalidRequestError" && reason.constraint !== undefined ? { constraint: reason.constraint } : {})
})

const failsWith = (name: string, reply: Reply, expected: Expected): ContractTest =>
  contractTest({
    name,
    body: ({ api }) =>
      Effect.gen(function*() {
        yield* api.push(reply)
        assert.deepStrictEqual(summaryOf(yield* Effect.flip(Stream.runDrain(ask()))), expected)
        assert.lengthOf(yield* api.requests, 1, "providers repeat no requests")
      })
  })

const atOnce: ReadonlyArray<ContractTest> = Record.toEntries(kinds).map(([kind, expected]) =>
  failsWith(`failure: ${kind}`, { failure: kind }, expected)
)

const inTheMiddle: ReadonlyArray<ContractTest> = (["overloaded", "internal", "too-long"] as const).map((kind) =>
  failsWith(
    `failure in the middle of an answer: ${kind}`,
    { actions: [{ text: ["half"] }, { fail: kind }] },
    kinds[kind]
  )
)

const retryable = (name: string, reply: Reply): ContractTest =>
  contractTest({
    name,
    body: ({ api }) =>
      Effect.gen(function*() {
        yield* api.push(reply)
        const error = yield* Effect.flip(Stream.runDrain(ask()))
        assert.isTrue(error.isRetryable, error.message)
        assert.lengthOf(yield* api.requests, 1, "providers repeat no requests")
      })
  })

export const failureTests: ReadonlyArray<ContractTest> = [
  ...atOnce,
  contractTest({
    name: "failure: the content is refused",
    body: ({ api }) =>
      Effect.gen(function*() {
        yield* api.push({ failure: "refused" })
        const answer = yield* Effect.result(Stream.runCollect(ask()))
        if (Result.isSuccess(answer)) assert.strictEqual(finishOf(answer.success)?.reason, "content-filter")
        else assert.strictEqual(answer.failure.reason._tag, "ContentPolicyError")
      })
  }),
  contractTest({
    name: "the wait that a rate limit asks for is known",
    body: ({ api }) =>
      Effect.gen(function*() {
        yield* api.push({ failure: "rate-limited", retryAfterSeconds: 7 })
        const { retryAfter } = yield* Effect.flip(Stream.runDrain(ask()))
        assert.deepStrictEqual(retryAfter, Duration.seconds(7))
      })
  }),
  ...inTheMiddle,
  retryable("failure: 502 of a proxy, in HTML", {
    status: 502,
    body: "<html>",
    headers: { "content-type": "text/html" }
  }),
  retryable("failure: the connection is reset before the headers", { status: 200, body: "", instead: "reset" }),
  retryable("failure: the connection is reset in the middle of an answer", {
    actions: [{ text: ["half"] }, { cut: "reset" }]
  }),
  retryable("failure: the body ends in the middle of an answer", { actions: [{ text: ["half"] }, { cut: "end" }] }),
  retryable("failure: the body ends before the answer has begun", { actions: [{ cut: "end" }] }),
  contractTest({
    name: "failure: an event that is not JSON is no answer",
    body: ({ api }) =>
      Effect.gen(function*() {
        yield* api.push({ actions: [{ text: ["half"] }, { raw: "data: {bad\n\n" }, { cut: "end" }] })
        yield* Effect.flip(Stream.runDrain(ask()))
      })
  })
]
