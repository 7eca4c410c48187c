/**
 * For tests of an application: the whole system in one process, with a model that follows a script, control of time, and
 * access to the events of a task.
 *
 * `docs/testing.md` has recipes. Everything runs on `TestClock`. Nothing waits for real time.
 *
 * @since 0.1.0
 */
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import { NewId, type TaskId } from "@perennial/domain/Ids"
import { isTerminal } from "@perennial/domain/Task"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { EventsExpired, StreamLost, TaskBackendError, TaskNotFound } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Duration, Effect, Layer, Option, Stream } from "effect"
import type { Tool } from "effect/ai"
import { TestClock } from "effect/testing"
import * as LlmAgent from "./LlmAgent.ts"
import * as ScriptedModel from "./ScriptedModel.ts"
import * as TaskRuntime from "./TaskRuntime.ts"

/**
 * The fields of an agent's configuration that matter to a test, and the script of its model.
 *
 * @since 0.1.0
 * @category models
 */
export interface TestOptions<Tools extends Record<string, Tool.Any> = {}>
  extends Partial<LlmAgent.AgentConfig<Tools>>, ScriptedModel.ScriptOptions
{}

/**
 * The whole system: a `TaskManager` over a memory store, an agent with the id `assistant`, and a model that follows a script.
 * Ids count from 1, so that they are predictable: `id-000001`, `id-000002`, ...
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Tools extends Record<string, Tool.Any> = {}>(
  options: TestOptions<Tools> = {}
): Layer.Layer<
  TaskManager | TaskBackend | ConversationStore | ScriptedModel.Script,
  TaskBackendError,
  LlmAgent.ToolServices<Tools>
> => {
  const { otherwise, turns, ...config } = options
  const agent = LlmAgent.layer<Tools>({ agentId: "assistant", systemPrompt: "You are under test.", ...config })
  return TaskRuntime.layerMemory.pipe(
    Layer.provide(agent),
    Layer.provideMerge(ScriptedModel.layer({ otherwise, turns })),
    Layer.provideMerge(layerIds)
  )
}

/**
 * Ids that count from 1. They sort in the order in which they were made.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerIds: Layer.Layer<never> = Layer.effect(
  NewId,
  Effect.sync(() => {
    let last = 0
    return Effect.sync(() => `id-${String(++last).padStart(6, "0")}`)
  })
)

/**
 * Lets every fiber run until it waits for time or for the test, or ends.
 *
 * **Gotchas**
 *
 * It does not wait for fibers that wait for the platform (a socket, a file, Web Crypto). Call it before `TestClock.adjust`:
 * `adjust` waits for the fibers that it wakes, but not for fibers that are on their way to a sleep.
 *
 * @since 0.1.0
 * @category time
 */
export const settle: Effect.Effect<void> = Effect.asVoid(Effect.repeat(Effect.yieldNow, { times: 200 }))

/**
 * Lets time pass: settles, adjusts the clock, and settles again.
 *
 * @since 0.1.0
 * @category time
 */
export const adjust = (duration: Duration.Input): Effect.Effect<void> =>
  settle.pipe(Effect.andThen(TestClock.adjust(duration)), Effect.andThen(settle))

/**
 * Lets time pass, until a task has ended. None if the task has not ended `within` the given time, one minute by default.
 *
 * **Details** Time passes in steps: one second in the first minute, then a sixtieth of what has passed. The clock is at most
 * one step past the end of the task.
 *
 * @since 0.1.0
 * @category time
 */
export const untilEnded = Effect.fnUntraced(function*(
  id: TaskId,
  options?: { readonly within?: Duration.Input | undefined }
) {
  const manager = yield* TaskManager
  const within = Duration.toMillis(options?.within ?? "1 minute")
  for (let passed = 0;;) {
    yield* settle
    const task = yield* manager.get(id)
    if (isTerminal(task.status)) return Option.some(task)
    if (passed >= within) return Option.none()
    const step = Math.min(Math.max(1_000, passed / 60), within - passed)
    yield* TestClock.adjust(step)
    passed += step
  }
})

type ReadError = TaskNotFound | EventsExpired | StreamLost | TaskBackendError

const read = (id: TaskId) =>
  Stream.unwrap(
    Effect.flatMap(TaskManager, (manager) => manager.events(id)).pipe(
      Effect.catchTag("CursorAhead", Effect.die)
    )
  )

/**
 * All events of a task, the terminal event last. It waits for the end of the task.
 *
 * @since 0.1.0
 * @category events
 */
export const collect = (id: TaskId): Effect.Effect<ReadonlyArray<StoredEvent>, ReadError, TaskManager> =>
  Stream.runCollect(read(id))

/**
 * The first event that satisfies a predicate, as soon as the event is stored. None if the task ends without such an event.
 *
 * @since 0.1.0
 * @category events
 */
export const waitFor = (
  id: TaskId,
  predicate: (stored: StoredEvent) => boolean
): Effect.Effect<Option.Option<StoredEvent>, ReadError, TaskManager> =>
  Stream.runHead(Stream.filter(read(id), predicate))

/**
 * One line for each event, for comparisons: the type and the most important fields. The begins of model requests are left out:
 * they say nothing about the answers.
 *
 * @since 0.1.0
 * @category events
 */
export const brief = (events: ReadonlyArray<StoredEvent>): ReadonlyArray<string> =>
  events.filter(({ event }) => event.type !== "model_request").map(({ event }) => {
    switch (event.type) {
      case "text":
      case "reasoning":
        return `${event.type} ${event.content}`
      case "tool_call":
        return `tool_call ${event.tool} ${JSON.stringify(event.args)}`
      case "tool_result":
        return `tool_result ${event.tool} ${event.status} ${JSON.stringify(event.result)}`
      case "tool_progress":
        return `tool_progress ${JSON.stringify(event.data)}`
      case "tool_approval":
        return `tool_approval ${event.tool} ${event.decision === undefined ? "asked" : event.decision.approved}`
      case "message":
        return `message ${event.message.content.map((part) => part.type).join(" + ")}`
      case "retry":
        return `retry ${event.tryNumber} ${event.reason}`
      case "error":
        return `error ${event.error}`
      case "data":
        return `data ${event.name} ${JSON.stringify(event.data)}`
      case "title":
        return `title ${event.title}`
      default:
        return event.type
    }
  })
