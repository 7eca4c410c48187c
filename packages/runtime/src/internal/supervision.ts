/**
 * Nothing stays active without somebody responsible for it (P8): finds heads that nobody owns and submits them, ends
 * what time ends, and passes on hints from other processes. Heads of agents that this process does not have are left to
 * others, but for those that only have to be ended.
 */
import type { Agents } from "@perennial/domain/Agent"
import type { TaskBackend, Wake } from "@perennial/domain/TaskBackend"
import { Clock, Duration, Effect, Latch, Random, Schedule, Stream } from "effect"
import type { TaskEngine } from "../TaskEngine.ts"
import type { TaskExecutor } from "../TaskExecutor.ts"
import type { TaskLimits } from "../TaskLimits.ts"

/** Heads asked for at once. */
const page = 1_000

export const supervise = Effect.fnUntraced(function*(options: {
  readonly agents: Agents["Service"]
  readonly backend: TaskBackend["Service"]
  readonly engine: TaskEngine["Service"]
  readonly executor: TaskExecutor["Service"]
  readonly limits: TaskLimits
}) {
  const { agents, backend, engine, executor, limits } = options

  const sweep = Effect.gen(function*() {
    const room = yield* executor.room
    if (room === 0 || !(yield* executor.mayRob)) return
    const now = yield* Clock.currentTimeMillis
    const heads = yield* backend.unowned({
      limit: Math.min(page, room),
      agentIds: agents.ids,
      staleBefore: Math.floor(Math.max(0, now - Duration.toMillis(limits.taskTimeout)))
    })
    // Fewer than there is room for: nobody waits any more.
    if (heads.length < Math.min(page, room)) executor.waiting.clear()
    yield* Effect.forEach(heads, engine.submit, { discard: true })
  })

  /** Opens when another process tells that there is something to find. */
  const told = Latch.makeUnsafe(false)
  const pause = Effect.gen(function*() {
    const jitter = yield* Random.nextBetween(0.8, 1.2)
    const slept = Effect.sleep(Duration.times(limits.sweep, jitter))
    // A free place matters only to those that wait for one.
    const made = Effect.suspend(() => executor.waiting.size > 0 ? executor.roomMade.await : Effect.never)
    yield* Effect.raceAllFirst([slept, made, told.await])
    executor.roomMade.closeUnsafe()
    told.closeUnsafe()
  })

  // A fiber of its own: what time ends does not wait for a slow store.
  yield* executor.tick.pipe(Effect.repeat(Schedule.spaced(limits.sweep)), Effect.forkScoped)
  yield* sweep.pipe(
    Effect.catchCause((cause) => Effect.logWarning("The sweep failed; it is tried again.", cause)),
    Effect.andThen(pause),
    Effect.forever,
    Effect.forkScoped
  )

  const follow = ({ kind, taskId }: Wake) => {
    // However many tell at once, it is looked once.
    if (kind === "head") return told.open
    if (kind === "all" || taskId === undefined) return Effect.andThen(executor.grewAll, told.open)
    return kind === "log" ? executor.grew(taskId) : executor.notify(taskId)
  }
  yield* backend.wakes.pipe(
    Stream.runForEach((wake) =>
      Effect.catchCause(follow(wake), (cause) => Effect.logWarning("A hint could not be followed.", cause))
    ),
    Effect.catchCause((cause) => Effect.logWarning("The hints ended; they are asked for again.", cause)),
    Effect.repeat(Schedule.spaced("1 second")),
    Effect.forkScoped
  )
})
