/**
 * The end of an owner whose task had not ended.
 *
 * @since 0.1.0
 */

/**
 * Why a task lost its owner. `crash`: the lease of the owner ran out. `handover`: the owner gave the task back, for example
 * because its process ends. `storeFailure`: the owner gave the task back because a store had failed.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason = "crash" | "handover" | "storeFailure"

/**
 * How a task is given back.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReleaseOptions {
  /** `handover` if absent. */
  readonly reason?: Exclude<Reason, "crash"> | undefined
  /** Whether the engine moves the task to a process that it has chosen: then other processes get no hint. False if absent. */
  readonly isMoving?: boolean | undefined
}

/**
 * How and when a task lost its last owner.
 *
 * @since 0.1.0
 * @category models
 */
export interface OwnerLoss {
  readonly reason: Reason
  /**
   * After a crash the last sign of life: the last renewal of the lease, or the last change of the task if the store does not
   * know the renewal any more. Otherwise the time at which the task was given back. Milliseconds since 1970-01-01T00:00Z, by
   * the store's clock.
   */
  readonly at: number
}

/**
 * An owner that has been alive this long on a task, in milliseconds, is not a crash loop: `TaskBackend.heartbeat` then sets
 * `failures` to 0.
 *
 * @since 0.1.0
 * @category constants
 */
export const aliveMillis = 60_000
