/**
 * Prints the events of a task as they come, and leaves when it is asked to: the task runs on.
 */
import type { TaskId } from "@perennial/domain/Ids"
import { isTerminal } from "@perennial/domain/Task"
import { StoredEvent, type TaskEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Queue, Schema, Stream, Struct } from "effect"
import * as Events from "./events.ts"
import { exitCodes, Failure } from "./failure.ts"
import { Output, toJson } from "./output.ts"
import { CommandLine } from "./place.ts"
import { Json } from "./settings.ts"
import type { Signal } from "./signals.ts"

/** Without the time: a stream of events does not carry the time of writing, so each run would print another one. */
const encodeEvent = Schema.encodeSync(Schema.toCodecJson(StoredEvent.mapFields(Struct.omit(["at"]))))

/** A second Ctrl-C within this time cancels the task. */
const patience = "1500 millis"

/** Prints a stream of events. Returns the last event. */
const print = Effect.fnUntraced(function*<E>(id: TaskId, events: Stream.Stream<StoredEvent, E>) {
  const output = yield* Output
  const json = yield* Json
  const commandLine = yield* CommandLine
  let screen = Events.empty
  let last: TaskEvent | undefined
  yield* Stream.runForEachArray(events, (page) => {
    last = page.at(-1)?.event ?? last
    if (json) return output.write(page.map((stored) => `${toJson(encodeEvent(stored))}\n`).join(""))
    return Effect.forEach(page, (stored) => {
      const [next, pieces] = Events.render(screen, id, stored, commandLine)
      screen = next
      return Effect.forEach(pieces, ({ text, to }) => output[to](text), { discard: true })
    }, { discard: true })
  }).pipe(Effect.onInterrupt(() =>
    // A remark that follows begins on a line of its own.
    screen.midLine ? Effect.ignore(output.write("\n")) : Effect.void
  ))
  return last
})

/** Cancels the task, unless a further signal ends the wait for its end. */
const cancel = Effect.fnUntraced(function*(id: TaskId, signals: Queue.Dequeue<Signal>) {
  const { note } = yield* Output
  const tasks = yield* TaskManager
  yield* note(`Cancelling task ${id} ...`)
  const task = yield* Effect.raceFirst(tasks.cancel(id), Effect.as(Queue.take(signals), undefined))
  yield* note(
    task === undefined ? `Task ${id} was asked to cancel, and has not ended yet.` : `Task ${id}: ${task.status}.`
  )
})

/** Leaves a task that has not ended. */
const leave = Effect.fnUntraced(function*(
  id: TaskId,
  signal: Signal,
  { cancelOnExit, signals }: { readonly cancelOnExit: boolean; readonly signals: Queue.Dequeue<Signal> }
) {
  const { note } = yield* Output
  const commandLine = yield* CommandLine
  const code = { SIGINT: exitCodes.interrupted, SIGTERM: exitCodes.terminated, SIGPIPE: 0 }[signal]
  if (cancelOnExit) {
    yield* cancel(id, signals)
  } else if (signal === "SIGINT") {
    yield* note(`Detached: the task runs on. To come back: ${commandLine("watch", id)}`)
    yield* note("Ctrl-C once more cancels the task.")
    const again = yield* Effect.timeoutOption(Queue.take(signals), patience)
    if (again._tag === "Some" && again.value === "SIGINT") yield* cancel(id, signals)
  } else if (signal === "SIGTERM") {
    yield* note(`Detached: the task runs on. To come back: ${commandLine("watch", id)}`)
  }
  return code === 0 ? undefined : yield* new Failure({ code })
})

/** Succeeds if the task completed. */
const outcome = Effect.fnUntraced(function*(id: TaskId, last: TaskEvent | undefined) {
  const tasks = yield* TaskManager
  const failed = (line: string) => Effect.fail(new Failure({ code: exitCodes.notCompleted, line }))
  if (last?.type === "done") return
  if (last?.type === "error") return yield* failed(`Task ${id} failed: ${last.detail} (${last.error})`)
  if (last?.type === "cancelled") {
    return yield* failed(`Task ${id} was cancelled${last.reason === undefined ? "." : `: ${last.reason}`}`)
  }
  // Nothing was left to print.
  const task = yield* tasks.get(id)
  if (!isTerminal(task.status)) {
    return yield* new Failure({ code: exitCodes.unreachable, line: `The events of task ${id} ended before the task.` })
  }
  if (task.status !== "completed") return yield* failed(`Task ${id} ended: ${task.error?.detail ?? task.status}.`)
})

/** Follows a task to its end, or until a signal. */
export const follow = Effect.fnUntraced(function*(id: TaskId, options: {
  readonly after?: number | undefined
  readonly cancelOnExit: boolean
  readonly signals: Queue.Dequeue<Signal>
}) {
  const tasks = yield* TaskManager
  const { signals } = options
  const end = yield* Effect.gen(function*() {
    const events = yield* tasks.events(id, { after: options.after })
    return { last: yield* print(id, events) }
  }).pipe(
    Effect.catchTag("OutputClosed", () => Effect.succeed("SIGPIPE" as const)),
    Effect.raceFirst(Queue.take(signals))
  )
  return typeof end === "string" ? yield* leave(id, end, options) : yield* outcome(id, end.last)
})
