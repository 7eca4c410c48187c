/**
 * The child tasks of a task: tasks that its tool calls start, with another agent and a log of their own.
 *
 * @since 0.1.0
 */
import type { AgentId, TaskId } from "@perennial/domain/Ids"
import type { Usage } from "@perennial/domain/Usage"
import { Context, type Duration, Effect, Result, type Schema } from "effect"

/**
 * A child task that is to run.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChildTask {
  /** The tool call that the child belongs to. */
  readonly toolCallId: string
  readonly agentId: AgentId
  /** The user's message of the child. */
  readonly message: string
  /** How long the child may take, from its start. It never has more time than its parent. */
  readonly timeout?: Duration.Duration | undefined
  /** The tokens that the child may use. */
  readonly maxTotalTokens?: number | undefined
}

/**
 * How a child task ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChildOutcome {
  readonly status: "completed" | "error"
  /** The output of the child, or the text of its last message; a sentence that says why there is none, after an error. */
  readonly answer: Schema.Json
  /** What the child has used. */
  readonly usage?: Usage | undefined
}

/**
 * Starts child tasks of one task.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChildTasks {
  /**
   * Takes an id for the child task of a tool call, or says why the task may start no child. The `tool_call` event of the call
   * names the child, before the child is started. A call whose event is stored keeps its child, also after a crash.
   */
  readonly reserve: (
    toolCallId: string,
    agentId: AgentId
  ) => Result.Result<{ readonly taskId: TaskId; readonly isNamed: boolean }, string>

  /**
   * Starts the child task of a call, unless it was started before, and waits for its end without a place of the capacity. An
   * interruption ends only the wait: when the task itself ends, its child tasks are cancelled.
   */
  readonly run: (child: ChildTask) => Effect.Effect<ChildOutcome>
}

/**
 * The child tasks of the task of the current fiber. Outside a task none can be started.
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentChildTasks = Context.Reference<ChildTasks>("@perennial/runtime/ChildTasks/CurrentChildTasks", {
  defaultValue: () => ({
    reserve: () => Result.fail("Only a task can start another task."),
    run: () => Effect.die(new Error("Only a task can start another task."))
  })
})

/**
 * The tokens that the child task of the current tool call may use: what is left of the budget of its parent. Undefined if the
 * parent has no budget.
 *
 * @since 0.1.0
 * @category services
 */
export const ChildBudget = Context.Reference<number | undefined>("@perennial/runtime/ChildTasks/ChildBudget", {
  defaultValue: () => undefined
})
