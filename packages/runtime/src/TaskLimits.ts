/**
 * The bounds of the runtime and their defaults (P11).
 *
 * @since 0.1.0
 */
import { Context, Duration, Effect, Layer, Option, Schema } from "effect"

/**
 * The bounds of one process. The behaviour at every bound is defined.
 *
 * @since 0.1.0
 * @category models
 */
export interface TaskLimits {
  /** Tasks that run at once in this process; other tasks wait unclaimed. With 0 the process only accepts tasks. */
  readonly capacity: number
  /**
   * Tasks that wait in this process: accepted tasks for capacity, and begun tasks for a person. Beyond this number `start`
   * fails with `CapacityExceeded`.
   */
  readonly waiting: number
  /** Tasks that wait behind the head of one conversation. Beyond this number `start` fails with `QueueFull`. */
  readonly queuedPerConversation: number
  /**
   * Active tasks of one user in the store: tasks that wait, run, or wait for a person, in all processes. Beyond this number
   * `start` fails with `TooManyActiveTasks`. `Infinity` is no limit.
   */
  readonly activePerUser: number
  /** Child tasks that one task may start in its life, 0 to 999. Beyond this number the model gets an error as the result. */
  readonly childrenPerTask: number
  /** Tasks above a child task. A task at this depth starts no child tasks: the model gets an error as the result. */
  readonly childDepth: number
  /**
   * The time from the first claim of a task to its end, recoveries included. Then the task ends with the error
   * `DeadlineExceeded`. A task that no process with its agent claims within this time ends with `AgentNotFound`.
   */
  readonly taskTimeout: Duration.Duration
  /**
   * The time for finalizers after a cancel. Then the log is closed, and the task ends without them. It is also the time for
   * the finalizers of a tool after the tool's own time limit. Then the task continues without the tool.
   */
  readonly cancelGrace: Duration.Duration
  /**
   * Bytes of one event (`EventPayload.size`), at least 3,000. A larger event ends the task with the error `EventTooLarge`.
   * `LlmAgent` divides a long answer into several events.
   */
  readonly eventBytes: number
  /** Bytes of the log of one task (`EventPayload.size`). A larger log ends the task with the error `LogTooLarge`. */
  readonly logBytes: number
  /**
   * Bytes of the conversation that an agent gets. Of a longer conversation the oldest turns are left out. The last turn
   * stays whole.
   */
  readonly historyBytes: number
  /**
   * Bytes of log pages in memory for readers (`EventPayload.size`). A server keeps the encoded frames of the pages too, which
   * take at most the same number of bytes again.
   */
  readonly pageCacheBytes: number
  /** How long the store counts a process as alive after its last heartbeat. */
  readonly leaseTtl: Duration.Duration
  /** The time between two heartbeats: at most a third of `leaseTtl`, and exactly that unless it is given. */
  readonly heartbeat: Duration.Duration
  /** The time between two searches for tasks without an owner and for deadlines that have passed. */
  readonly sweep: Duration.Duration
  /**
   * Owners that may die on a task without progress; one more ends the task with the error `CrashLoop`. It is also the number
   * of times that a process tries to store a message which the conversation store refuses. Then the task ends with the error
   * `MessageRefused`.
   */
  readonly failures: number
  /**
   * The time for one call of a store. A call without an answer in this time fails, and is not a refusal. The stores of
   * Perennial give up by themselves after about half a minute.
   */
  readonly storeTimeout: Duration.Duration
}

/**
 * The limits that are in force without a layer of this module.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults: TaskLimits = {
  capacity: 1_000,
  waiting: 10_000,
  queuedPerConversation: 100,
  activePerUser: Number.POSITIVE_INFINITY,
  childrenPerTask: 16,
  childDepth: 3,
  taskTimeout: Duration.hours(24),
  cancelGrace: Duration.seconds(10),
  eventBytes: 256 * 1024,
  logBytes: 256 * 1024 * 1024,
  historyBytes: 64 * 1024 * 1024,
  pageCacheBytes: 64 * 1024 * 1024,
  leaseTtl: Duration.seconds(9),
  heartbeat: Duration.seconds(3),
  sweep: Duration.seconds(1),
  failures: 3,
  storeTimeout: Duration.minutes(1)
}

/**
 * The limits in force. `layer` sets them.
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentTaskLimits = Context.Reference<TaskLimits>("@perennial/runtime/TaskLimits/CurrentTaskLimits", {
  defaultValue: () => defaults
})

/**
 * The limits that differ from the defaults.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = {
  readonly [Limit in keyof TaskLimits]?:
    | (TaskLimits[Limit] extends Duration.Duration ? Duration.Input : TaskLimits[Limit])
    | undefined
}

/**
 * A limit has a value that it cannot have.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidTaskLimit extends Schema.TaggedError<InvalidTaskLimit>()("InvalidTaskLimit", {
  limit: Schema.String,
  value: Schema.String,
  expected: Schema.String
}) {
  override get message() {
    return `TaskLimits: ${this.limit} is ${this.value}. It must be ${this.expected}.`
  }
}

type Counts = { [Limit in keyof TaskLimits]: TaskLimits[Limit] extends number ? Limit : never }[keyof TaskLimits]
type Times = Exclude<keyof TaskLimits, Counts>

const count = (options: Options, limit: Counts, least: number): Effect.Effect<number, InvalidTaskLimit> => {
  const value = options[limit] ?? defaults[limit]
  return Number.isSafeInteger(value) && value >= least
    ? Effect.succeed(value)
    : Effect.fail(
      new InvalidTaskLimit({ limit, value: String(value), expected: `a whole number, ${least} or more` })
    )
}

const time = (
  options: Options,
  limit: Times,
  { fallback = defaults[limit], least, most }: {
    readonly fallback?: Duration.Duration
    readonly least: Duration.Duration
    readonly most: Duration.Duration
  }
): Effect.Effect<Duration.Duration, InvalidTaskLimit> => {
  const value = options[limit] ?? fallback
  // `Duration` reads NaN as 0.
  const duration = Number.isNaN(value) ? Option.none() : Duration.fromInput(value)
  const possible = Option.filter(duration, Duration.between({ minimum: least, maximum: most }))
  return Effect.fromOption(possible, () =>
    new InvalidTaskLimit({
      limit,
      value: Option.match(duration, { onNone: () => String(value), onSome: Duration.format }),
      expected: `a duration from ${Duration.format(least)} to ${Duration.format(most)}`
    }))
}

const longest = Duration.days(365)

/**
 * The defaults with other values for some limits.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<TaskLimits, InvalidTaskLimit> {
  const short = { least: Duration.millis(1), most: longest }
  const leaseTtl = yield* time(options, "leaseTtl", { least: Duration.millis(3), most: longest })
  const third = Duration.divideUnsafe(leaseTtl, 3)
  const limits: TaskLimits = {
    capacity: yield* count(options, "capacity", 0),
    waiting: yield* count(options, "waiting", 0),
    queuedPerConversation: yield* count(options, "queuedPerConversation", 0),
    activePerUser: (options.activePerUser ?? defaults.activePerUser) === Number.POSITIVE_INFINITY
      ? Number.POSITIVE_INFINITY
      : yield* count(options, "activePerUser", 1),
    childrenPerTask: yield* count(options, "childrenPerTask", 0),
    childDepth: yield* count(options, "childDepth", 0),
    taskTimeout: yield* time(options, "taskTimeout", short),
    cancelGrace: yield* time(options, "cancelGrace", { least: Duration.zero, most: longest }),
    // An event without its content takes 2 KiB at most.
    eventBytes: yield* count(options, "eventBytes", 3_000),
    logBytes: yield* count(options, "logBytes", 1),
    historyBytes: yield* count(options, "historyBytes", 1),
    pageCacheBytes: yield* count(options, "pageCacheBytes", 1),
    leaseTtl,
    heartbeat: yield* time(options, "heartbeat", { fallback: third, least: Duration.millis(1), most: third }),
    sweep: yield* time(options, "sweep", short),
    failures: yield* count(options, "failures", 0),
    storeTimeout: yield* time(options, "storeTimeout", short)
  }
  return limits
})

/**
 * Sets limits for the layers of the runtime. A value that a limit cannot have is refused with a message of one line.
 *
 * **Example** (Setting two limits)
 *
 * ```ts import.meta.vitest
 * import * as TaskLimits from "@perennial/runtime/TaskLimits"
 * import { Effect } from "effect"
 *
 * const limits = TaskLimits.layer({ capacity: 50, taskTimeout: "1 hour" })
 * const { capacity } = await Effect.runPromise(Effect.provide(TaskLimits.CurrentTaskLimits, limits))
 * capacity // => 50
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never, InvalidTaskLimit> =>
  Layer.effect(CurrentTaskLimits, make(options))
