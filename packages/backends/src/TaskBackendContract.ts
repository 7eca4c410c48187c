/**
 * Every promise that a `TaskBackend` makes, as one suite of tests to run against any implementation.
 *
 * **Example** (a backend of your own)
 *
 * ```ts
 * import * as TaskBackendContract from "@perennial/backends/TaskBackendContract"
 *
 * TaskBackendContract.suite("MyTaskBackend", MyTaskBackend.layer)
 * ```
 *
 * @since 0.1.0
 */
// A test is an entry point.
// @effect-diagnostics strictEffectProvide:off
import { describe, it } from "@effect/vitest"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { Effect, type Layer, type Scope } from "effect"
import * as accepting from "./internal/acceptingContract.ts"
import * as activeTasks from "./internal/activeTasksContract.ts"
import * as agent from "./internal/agentContract.ts"
import * as concurrency from "./internal/concurrencyContract.ts"
import type { Test } from "./internal/contractTask.ts"
import * as deletion from "./internal/deletionContract.ts"
import * as ended from "./internal/endedContract.ts"
import * as fairness from "./internal/fairnessContract.ts"
import * as intent from "./internal/intentContract.ts"
import * as list from "./internal/listContract.ts"
import * as log from "./internal/logContract.ts"
import * as loss from "./internal/lossContract.ts"
import * as order from "./internal/orderContract.ts"
import * as ownership from "./internal/ownershipContract.ts"
import * as records from "./internal/recordsContract.ts"
import * as unreadable from "./internal/unreadableContract.ts"
import * as wake from "./internal/wakeContract.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<E = never> {
  /** The clock of the store. `Clock`: the clock that tests control. `store`: a clock of its own. */
  readonly time?: "Clock" | "store" | undefined
  /** For a backend with `wakes`: two services over one empty store, each as a process of its own would have it. */
  readonly processes?:
    | Effect.Effect<readonly [TaskBackend["Service"], TaskBackend["Service"]], E, Scope.Scope>
    | undefined
  /**
   * For a backend that keeps texts, which may be damaged or of a newer version: a service over an empty store, and how to
   * replace a text that the store keeps.
   */
  readonly spoilable?: Effect.Effect<Spoilable, E, Scope.Scope> | undefined
}

/**
 * A backend whose stored texts can be replaced.
 *
 * @since 0.1.0
 * @category models
 */
export type Spoilable = unreadable.Spoilable

/**
 * Defines the tests. The layer is built once for each test and gives an empty store every time.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E, E2 = never>(
  name: string,
  layer: Layer.Layer<TaskBackend, E>,
  options: Options<E2> = {}
): void => {
  const test: Test = (name, body) => it.effect(name, () => Effect.provide(body, layer))
  describe(name, () => {
    accepting.define(test)
    activeTasks.define(test)
    ownership.define(test)
    loss.define(test)
    fairness.define(test)
    agent.define(test)
    list.define(test)
    order.define(test)
    records.define(test)
    log.define(test)
    intent.define(test)
    ended.define(test)
    deletion.define(test)
    concurrency.define(test)
    if (options.time !== "store") {
      ownership.defineClock(test)
      loss.defineClock(test)
      agent.defineClock(test)
      log.defineClock(test)
      ended.defineClock(test)
      records.defineClock(test)
    }
    const { processes, spoilable } = options
    if (spoilable !== undefined) unreadable.define(spoilable)
    if (processes === undefined) return
    it.live("P7: other processes get hints about logs, intents and heads, and no process about its own writes", () =>
      wake.tells(processes))
    it.live("other processes get a hint when a list of a user's tasks shows something else", () =>
      wake.tellsOfUsers(processes))
    it.live("P4: readers in two processes see the same ends in the same order, each once, while both end tasks", () =>
      ended.agree(processes))
    it.live("P11: of many concurrent starts in two processes as many are accepted as the limit says", () =>
      activeTasks.agree(processes))
  })
}
