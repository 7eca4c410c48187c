/**
 * The bounds of the runtime and their defaults (P11).
 *
 * @since 0.1.0
 */
import { Context, Duration } from "effect"

/**
 * What a process takes on. Every bound has a defined behaviour when it is reached.
 *
 * @since 0.1.0
 * @category models
 */
export interface TaskLimits {
  /** Tasks that run at once in this process; others wait unclaimed. */
  readonly capacity: number
  /**
   * Tasks that wait in this process, accepted ones for capacity and begun ones for a person; beyond, `start` fails with
   * `CapacityExceeded`.
   */
  readonly waiting: number
  /** Tasks that wait behind the head of one conversation; beyond, `start` fails with `QueueFull`. */
  readonly queuedPerConversation: number
  /**
   * From the first claim, recoveries included; then the task ends with the error `DeadlineExceeded`. One that no process
   * with its agent takes up by then (if never: for as long) ends with `AgentNotFound`.
   */
  readonly taskTimeout: Duration.Duration
  /**
   * How long finalizers may take after a cancel; then the log is closed and ended without them. Those of a tool after
   * its timeout; then its task goes on without it.
   */
  readonly cancelGrace: Duration.Duration
  /**
   * Bytes of one event (`TaskEvent.size`); a larger one ends the task with the error `EventTooLarge`. `LlmAgent` makes
   * several of a long answer.
   */
  readonly eventBytes: number
  /** Bytes of one task's log (the same); beyond, the task ends with the error `LogTooLarge`. */
  readonly logBytes: number
  /** Bytes of a conversation that its agent is given; beyond, the oldest turns are left out. The last turn stays whole. */
  readonly historyBytes: number
  /**
   * Bytes of log pages kept in memory for readers (the same). A server keeps the texts of their frames beside them, at
   * most as much again.
   */
  readonly pageCacheBytes: number
  /** How long the store believes in a process that says nothing. */
  readonly leaseTtl: Duration.Duration
  /** Between two signs of life to the store; a third of `leaseTtl` or less. */
  readonly heartbeat: Duration.Duration
  /** Between two looks for tasks that nobody owns and for deadlines that passed. */
  readonly sweep: Duration.Duration
  /**
   * Owners that may die on a task without progress; one more ends it with the error `CrashLoop`. As often each process
   * tries a message that the conversation store refuses; then the task ends with the error `MessageRefused`.
   */
  readonly failures: number
}

/**
 * The limits used where none are provided.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults: TaskLimits = {
  capacity: 1_000,
  waiting: 10_000,
  queuedPerConversation: 100,
  taskTimeout: Duration.hours(24),
  cancelGrace: Duration.seconds(10),
  eventBytes: 256 * 1024,
  logBytes: 256 * 1024 * 1024,
  historyBytes: 64 * 1024 * 1024,
  pageCacheBytes: 64 * 1024 * 1024,
  leaseTtl: Duration.seconds(9),
  heartbeat: Duration.seconds(3),
  sweep: Duration.seconds(1),
  failures: 3
}

/**
 * The limits in force. Provide it to the layers of the runtime, with `defaults` as a base:
 * `Layer.succeed(CurrentTaskLimits, { ...TaskLimits.defaults, capacity: 50 })`.
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentTaskLimits = Context.Reference<TaskLimits>("@perennial/runtime/TaskLimits/CurrentTaskLimits", {
  defaultValue: () => defaults
})
