/** Agents whose attempts are spans. */
import type { Agent, AgentInput, Agents } from "@perennial/domain/Agent"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Clock, Effect, Exit, Tracer } from "effect"
import { Telemetry } from "effect/ai"
import { failed, taskAttributes } from "./attributes.ts"
import { modelSpans } from "./modelSpans.ts"
import type { OwnedTask, OwnedTasks } from "./ownedTasks.ts"
import { tracerOf, within } from "./spans.ts"
import { beginSpan, endSpan, spanIdOf } from "./taskSpans.ts"
import { toolAttributes } from "./toolSpan.ts"

const attemptSpan = ({ claim, trace }: OwnedTask, attempt: number) => ({
  name: `invoke_agent ${claim.agentId}`,
  spanId: spanIdOf(claim.taskId, attempt),
  trace,
  attributes: {
    ...taskAttributes(claim),
    "perennial.task.attempt": attempt,
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": claim.agentId
  }
})

const attemptOf = ({ event }: StoredEvent): number | undefined =>
  event.type === "started" || event.type === "resumed" ? event.attempt : undefined

const died = failed("process_died")

/**
 * Writes the spans of the attempt before this one if its process died with them: the attempt itself, and the tool calls that
 * it had begun. Their ids are those that the dead process used, so that the spans which it did export find their parents.
 */
const completeDead = (tracer: Tracer.Tracer, task: OwnedTask, journal: ReadonlyArray<StoredEvent>): void => {
  const { claim, trace } = task
  const at = journal.findLastIndex((stored) => (attemptOf(stored) ?? claim.attempt) < claim.attempt)
  const events = at === -1 ? [] : journal.slice(at)
  const next = events.findIndex((stored) => attemptOf(stored) === claim.attempt)
  const own = next === -1 ? events : events.slice(0, next)
  const [first] = own
  const last = own[own.length - 1]
  const attempt = first && attemptOf(first)
  if (first === undefined || last === undefined || attempt === undefined) return
  const { attributes, ...named } = attemptSpan(task, attempt)
  const span = beginSpan(tracer, {
    ...named,
    start: first.at,
    attributes: { ...attributes, "error.type": "process_died" }
  })
  const open = new Map<string, StoredEvent>()
  for (const stored of own) {
    if (stored.event.type === "tool_call") open.set(stored.event.toolCallId, stored)
    if (stored.event.type === "tool_result") open.delete(stored.event.toolCallId)
  }
  for (const { at: start, event } of open.values()) {
    if (event.type !== "tool_call") continue
    const tool = beginSpan(tracer, {
      name: `execute_tool ${event.tool}`,
      spanId: spanIdOf(claim.taskId, attempt, event.toolCallId),
      trace,
      parent: span,
      start,
      attributes: { ...toolAttributes(event), "error.type": "process_died" }
    })
    endSpan(tool, last.at, died)
  }
  endSpan(span, last.at, died)
}

/** A failure of an agent without the texts in it. */
const exitOf = <A>(exit: Exit.Exit<A, { readonly error: string }>): Exit.Exit<unknown, unknown> =>
  Exit.match(exit, {
    onSuccess: () => Exit.void,
    onFailure: (cause) => {
      const error = cause.reasons.find((reason) => reason._tag === "Fail")?.error
      if (error !== undefined) return failed(error.error)
      return cause.reasons.some((reason) => reason._tag === "Die") ? failed("defect") : Exit.failCause(cause)
    }
  })

const traced = (task: OwnedTask, input: AgentInput, run: ReturnType<Agent["run"]>) =>
  Effect.withFiber((fiber): ReturnType<Agent["run"]> => {
    const tracer = tracerOf(fiber)
    if (tracer === undefined) return run
    // Without spans of its own, the attempt tells those within it that they are not sampled either.
    if (!task.trace.task.sampled) return within(run, task.trace.task)
    const { attempt, failures, taskId } = task.claim
    const clock = fiber.getRef(Clock.Clock)
    if (failures > 0) completeDead(tracer, task, input.journal)
    const span = beginSpan(tracer, {
      ...attemptSpan(task, attempt),
      start: clock.currentTimeMillisUnsafe(),
      links: attempt === 1
        ? []
        : [Tracer.externalSpan({ ...task.trace.task, spanId: spanIdOf(taskId, attempt - 1) })]
    })
    return Effect.onExit(
      within(run, span),
      (exit) => Effect.sync(() => endSpan(span, clock.currentTimeMillisUnsafe(), exitOf(exit)))
    )
  })

const observed = (agent: Agent, tasks: OwnedTasks): Agent => ({
  agentId: agent.agentId,
  timeout: agent.timeout,
  describe: agent.describe,
  run: (input, emit) =>
    Effect.withFiber((fiber) => {
      const run = Effect.provideService(
        agent.run(input, emit),
        Telemetry.CurrentSpanTransformer,
        modelSpans(fiber.context, fiber.getRef(Clock.Clock))
      )
      const task = tasks.get(input.task.taskId)
      return task === undefined ? run : traced(task, input, run)
    })
})

export const observedAgents = (agents: Agents["Service"], tasks: OwnedTasks): Agents["Service"] => {
  const made = new Map<Agent, Agent>()
  const of = (agent: Agent): Agent => {
    let one = made.get(agent)
    if (one === undefined) made.set(agent, one = observed(agent, tasks))
    return one
  }
  return { ids: agents.ids, get: (id) => Effect.map(agents.get(id), of) }
}
