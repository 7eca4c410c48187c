/** A store in this process whose users tell each other what they write, as processes on PostgreSQL and Redis do. */
import { TaskBackend } from "@perennial/domain/TaskBackend"
import type { Wake } from "@perennial/domain/Wake"
import { Effect, Layer, PubSub, Stream } from "effect"

const hinting = Layer.effect(
  TaskBackend,
  Effect.gen(function*() {
    const backend = yield* TaskBackend
    const hints = yield* PubSub.sliding<Wake>(1_024)
    const tell = (...wakes: ReadonlyArray<Wake>) => PubSub.publishAll(hints, wakes)
    return TaskBackend.of({
      ...backend,
      append: (batch) =>
        Effect.tap(
          backend.append(batch),
          () => tell(...batch.map(({ claim }) => ({ kind: "log" as const, ...claim })))
        ),
      finish: (claim, events) =>
        Effect.tap(backend.finish(claim, events), () => tell({ kind: "log", ...claim }, { kind: "head", ...claim })),
      release: (claim, options) =>
        Effect.tap(
          backend.release(claim, options),
          () => options?.isMoving === true ? Effect.void : tell({ kind: "head", ...claim })
        ),
      putIntent: (taskId, intent, options) =>
        Effect.tap(
          backend.putIntent(taskId, intent, options),
          () => tell({ kind: "intent", taskId }, { kind: "log", taskId })
        ),
      wakes: Stream.fromPubSub(hints)
    })
  })
)

export const layer = <A, E>(store: Layer.Layer<A | TaskBackend, E>) => Layer.provideMerge(hinting, store)
