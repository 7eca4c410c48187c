/**
 * What tests of an application need: the whole system in one process with a model that follows a script, time that the
 * test lets pass, and what a task did.
 *
 * `docs/testing.md` has recipes. Everything runs on `TestClock`: nothing here waits for real time.
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
 * A configuration of an agent, of which a test gives what matters to it, and the script of its model.
 *
 * @since 0.1.0
 * @category models
 */
export interface TestOptions<Tools extends Record<string, Tool.Any> = {}>
  extends Partial<LlmAgent.AgentConfig<Tools>>, ScriptedModel.ScriptOptions
{}

/**
 * Everything: a `TaskManager` over a store in memory, an agent (named `assistant`), and a model that follows a script.
 * Ids count from 1, so that a test may expect them: `id-000001`, `id-000002`, ...
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
 * Ids that count from 1 and sort as they were made.
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
 * Lets every fiber go on until it waits: for time, for the test, or for nothing any more.
 *
 * **Gotchas**
 *
 * What waits for the platform (a socket, a file, Web Crypto) is not waited for. In front of `TestClock.adjust` it is
 * needed: `adjust` waits for what it wakes, not for what was still on its way to sleep.
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
 * Lets time pass until a task has ended, by a second at a time; none if it has not ended `within` that time, a minute by
 * default.
 *
 * @since 0.1.0
 * @category time
 */
export const untilEnded = Effect.fnUntraced(function*(
  id: TaskId,
  options?: { readonly within?: Duration.Input | undefined }
) {
  const manager = yield* TaskManager
  const seconds = Duration.toSeconds(Duration.fromInputUnsafe(options?.within ?? "1 minute"))
  for (let second = 0; second <= seconds; second++) {
    yield* settle
    const task = yield* manager.get(id)
    if (isTerminal(task.status)) return Option.some(task)
    yield* TestClock.adjust("1 second")
  }
  return Option.none()
})

type ReadError = TaskNotFound | EventsExpired | StreamLost | TaskBackendError

const read = (id: TaskId) =>
  Stream.unwrap(
    Effect.flatMap(TaskManager, (manager) => manager.events(id)).pipe(
      Effect.catchTag("CursorAhead", Effect.die)
    )
  )

/**
 * All events of a task, the terminal one last. Waits for the end.
 *
 * @since 0.1.0
 * @category events
 */
export const collect = (id: TaskId): Effect.Effect<ReadonlyArray<StoredEvent>, ReadError, TaskManager> =>
  Stream.runCollect(read(id))

/**
 * The first event that satisfies a predicate, as soon as it is stored; none if the task ends without it.
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
 * One line an event, for a comparison: type and what tells most of it.
 *
 * @since 0.1.0
 * @category events
 */
export const brief = (events: ReadonlyArray<StoredEvent>): ReadonlyArray<string> =>
  events.map(({ event }) => {
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
