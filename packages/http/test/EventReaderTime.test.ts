import { read } from "@perennial/http/EventReader"
import { Duration, Effect, Stream } from "effect"
import { vi } from "vitest"
import { tagOf } from "./eventReaderTag.ts"
import { overTime } from "./watchContract.ts"

// These tests have a file of their own, because they replace the timers of the process.
overTime("EventReader", {
  over: (answer) =>
    Effect.gen(function*() {
      const run = Effect.runPromiseWith(yield* Effect.context<never>())
      yield* Effect.acquireRelease(
        Effect.sync(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })),
        () => Effect.sync(() => vi.useRealTimers())
      )
      const fetch: typeof globalThis.fetch = (_, init) =>
        run(answer(new Headers(init?.headers).get("last-event-id") ?? undefined))
      return (id, options) =>
        Stream.fromAsyncIterable(read(`http://test/tasks/${id}/events`, { ...options, fetch }), tagOf)
    }),
  advance: (duration) => Effect.promise(() => vi.advanceTimersByTimeAsync(Duration.toMillis(duration)))
})
