/** The contract of a provider: the connection. */
import { assert } from "@effect/vitest"
import { Deferred, Effect, Fiber, Queue, Stream } from "effect"
import { LanguageModel } from "effect/ai"
import { CurrentModelActivity } from "../../ModelSettings.ts"
import { ask, type ContractTest, contractTest } from "./contractTest.ts"

export const wireTests: ReadonlyArray<ContractTest> = [
  contractTest({
    name: "P7: an interruption in the middle of an answer closes the connection",
    body: ({ api }) =>
      Effect.gen(function*() {
        yield* api.push({ actions: [{ text: ["a"] }, { hang: true }] })
        const got = yield* Deferred.make<void>()
        const fiber = yield* ask().pipe(
          Stream.runForEach((part) => part.type === "text-delta" ? Deferred.succeed(got, undefined) : Effect.void),
          Effect.forkChild
        )
        yield* Deferred.await(got)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* (yield* api.nextRequest).end, "aborted")
      })
  }),
  contractTest({
    name: "P7: an interruption before the headers closes the connection",
    body: ({ api }) =>
      Effect.gen(function*() {
        const hang = { status: 200, body: "", instead: "hang" } as const
        yield* api.push(hang, hang)
        for (const asked of [Stream.runDrain(ask()), LanguageModel.generateText({ prompt: "hi" })]) {
          const fiber = yield* Effect.forkChild(asked)
          const request = yield* api.nextRequest
          yield* Fiber.interrupt(fiber)
          assert.strictEqual(yield* request.end, "aborted")
        }
      })
  }),
  contractTest({
    name: "the connection is closed when the caller stops reading",
    body: ({ api }) =>
      Effect.gen(function*() {
        yield* api.push({ actions: [{ text: ["a"] }, { hang: true }] })
        yield* ask().pipe(Stream.filter((part) => part.type === "text-delta"), Stream.take(1), Stream.runDrain)
        assert.strictEqual(yield* (yield* api.nextRequest).end, "aborted")
      })
  }),
  contractTest({
    name: "an answer that was read to its end was not aborted",
    body: ({ api }) =>
      Effect.gen(function*() {
        yield* api.push({ actions: [{ text: ["a"] }] })
        yield* Stream.runDrain(ask())
        assert.strictEqual(yield* (yield* api.nextRequest).end, "sent")
      })
  }),
  contractTest({
    name: "keep-alives of the server are activity of the model",
    needs: "keep-alives",
    body: ({ api }) =>
      Effect.gen(function*() {
        const pings = yield* Queue.unbounded<void>()
        const heard = yield* Queue.unbounded<void>()
        const pinged = [{ run: Queue.take(pings) }, { keepAlive: true }] as const
        yield* api.push({ actions: [{ text: ["a"] }, ...pinged, ...pinged, { hang: true }] })
        const got = yield* Deferred.make<void>()
        const fiber = yield* ask().pipe(
          Stream.runForEach((part) => part.type === "text-delta" ? Deferred.succeed(got, undefined) : Effect.void),
          Effect.provideService(CurrentModelActivity, () => void Queue.offerUnsafe(heard, undefined)),
          Effect.forkChild
        )
        yield* Deferred.await(got)
        for (const _ of [1, 2]) {
          yield* Queue.clear(heard)
          yield* Queue.offer(pings, undefined)
          yield* Queue.take(heard)
        }
        yield* Fiber.interrupt(fiber)
      })
  })
]
