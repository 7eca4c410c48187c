/** What telemetry knows of the tasks that this process owns. */
import type { TaskId } from "@perennial/domain/Ids"
import type { Claim } from "@perennial/domain/TaskBackend"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { total } from "@perennial/domain/Usage"
import { Context } from "effect"
import { CurrentSampler } from "./sampler.ts"
import * as Metrics from "./taskMetrics.ts"
import { type TaskTrace, traceOf } from "./taskSpans.ts"

export interface OwnedTask {
  readonly claim: Claim
  readonly trace: TaskTrace
  /** The times at which the open tool calls began. */
  readonly calls: Map<string, number>
  /** Whether the agent has written an event. */
  written: boolean
}

const agentOf = ({ agentId }: Claim) => ({ "gen_ai.agent.id": agentId })

const observeEvent = (context: Context.Context<never>, task: OwnedTask, { at, event }: StoredEvent): void => {
  const { calls, claim } = task
  if (event.type === "ack" || event.type === "started" || event.type === "resumed") return
  if (!task.written) {
    task.written = true
    if (claim.attempt === 1) Metrics.update(context, Metrics.firstEvent, (at - claim.createdAt) / 1_000, agentOf(claim))
  }
  switch (event.type) {
    case "message": {
      if (event.partial !== true && event.continued !== true) Metrics.update(context, Metrics.steps, 1, agentOf(claim))
      if (total(event.usage) === 0) return
      const { cacheReadTokens, cacheWriteTokens, inputTokens, outputTokens } = event.usage
      const used = {
        input: inputTokens,
        cache_read: cacheReadTokens,
        cache_write: cacheWriteTokens,
        output: outputTokens
      }
      for (const [type, count] of Object.entries(used)) {
        if (count > 0) Metrics.update(context, Metrics.tokens, count, { ...agentOf(claim), "gen_ai.token.type": type })
      }
      return
    }
    case "tool_call":
      calls.set(event.toolCallId, at)
      return
    case "tool_result": {
      const began = calls.get(event.toolCallId)
      if (began === undefined) return
      calls.delete(event.toolCallId)
      Metrics.update(context, Metrics.toolDuration, (at - began) / 1_000, {
        "gen_ai.tool.name": event.tool,
        "perennial.tool.status": event.status
      })
    }
  }
}

export class OwnedTasks {
  readonly #byId = new Map<TaskId, OwnedTask>()

  get(id: TaskId): OwnedTask | undefined {
    return this.#byId.get(id)
  }

  /** All of them, for `keep`. */
  get all(): ReadonlyArray<OwnedTask> {
    return [...this.#byId.values()]
  }

  add(context: Context.Context<never>, claim: Claim): OwnedTask {
    const trace = traceOf(claim, Context.get(context, CurrentSampler))
    const task: OwnedTask = { claim, trace, calls: new Map(), written: false }
    this.#byId.set(claim.taskId, task)
    Metrics.update(context, Metrics.active, this.#byId.size)
    return task
  }

  remove(context: Context.Context<never>, id: TaskId): void {
    this.#byId.delete(id)
    Metrics.update(context, Metrics.active, this.#byId.size)
  }

  /** Of the tasks of `before`, those remain that the store still gives to this process. Another process has the others. */
  keep(
    context: Context.Context<never>,
    before: ReadonlyArray<OwnedTask>,
    owned: ReadonlyArray<{ readonly taskId: TaskId; readonly token: number }>
  ): void {
    if (before.length === 0) return
    const tokens = new Map(owned.map(({ taskId, token }) => [taskId, token]))
    for (const task of before) {
      const { taskId, token } = task.claim
      if (tokens.get(taskId) === token || this.#byId.get(taskId) !== task) continue
      Metrics.update(context, Metrics.claimsLost, 1)
      this.remove(context, taskId)
    }
  }

  /** The events are durable. */
  observe(context: Context.Context<never>, id: TaskId, events: ReadonlyArray<StoredEvent>): void {
    const task = this.#byId.get(id)
    if (task !== undefined) { for (const event of events) observeEvent(context, task, event) }
  }
}
