/** Runs the tool calls of one message: approval, `tool_call`, the tool itself with its limits, `tool_result`. */
import type { AgentInput, Emit } from "@perennial/domain/Agent"
import * as ContentBounds from "@perennial/domain/ContentBounds"
import type { Decision } from "@perennial/domain/Decision"
import type { ToolCallPart, ToolResultPart } from "@perennial/domain/Message"
import * as Settlement from "@perennial/domain/Settlement"
import type { Usage } from "@perennial/domain/Usage"
import { Duration, Effect, Queue, Result, type Schema, Semaphore } from "effect"
import type { Prompt } from "effect/ai"
import {
  agentOf,
  type AgentTools,
  failed,
  isSafeToRepeat,
  type PreparedCall,
  timeoutOf,
  type ToolInvocation,
  type ToolOutcome
} from "../../AgentTools.ts"
import { ChildBudget, CurrentChildTasks } from "../../ChildTasks.ts"
import { CurrentTaskLimits } from "../../TaskLimits.ts"
import { ToolProgress } from "../../ToolProgress.ts"
import { withToolSpan } from "../telemetry/toolSpan.ts"
import { toJson } from "./json.ts"
import { makeRunTool } from "./toolFiber.ts"

export interface ToolCallsOptions {
  readonly tools: AgentTools
  readonly timeout: Duration.Duration
  /** Tools of one message that run at once; calls that wait for a person do not count. */
  readonly concurrency: number
  readonly approval: ApprovalPolicy
}

export interface ApprovalPolicy {
  readonly required: "tool" | "always" | "never" | ((call: ToolInvocation) => Effect.Effect<boolean>)
  /** Counts from the question. Without it a call waits as long as the task lives. */
  readonly timeout?: Duration.Duration | undefined
}

/** A call in the journal. */
export interface PastCall {
  /** A `tool_call` was written, but no result: the call was interrupted. */
  readonly entered: boolean
  /** A `tool_approval` was written. */
  readonly asked: boolean
  readonly decision?: Decision | undefined
}

export interface ToolCallsInput {
  readonly calls: ReadonlyArray<ToolCallPart>
  readonly past: ReadonlyMap<string, PastCall>
  /** The conversation before the message with the calls. Few tools need it. */
  readonly messages: () => ReadonlyArray<Prompt.Message>
  readonly awaitDecision: AgentInput["awaitDecision"]
  readonly emit: Emit
  /** The tokens that the task may still use. Its calls of agents share them. */
  readonly remainingTokens?: number | undefined
}

const never: PastCall = { entered: false, asked: false }

/** Room for the other fields of a `tool_result`. */
const envelopeBytes = 2048

const progressBytes = 4096
const progressPause = Duration.millis(100)

/** The result of a call, with what its child task has used. */
export type CallResult = ToolResultPart & { readonly usage?: Usage }

export const resultPart = (
  call: ToolCallPart,
  { result, status, usage }: ToolOutcome,
  decision?: Decision
): CallResult => ({
  type: "tool_result",
  tool: call.tool,
  toolCallId: call.toolCallId,
  result,
  status,
  ...(usage === undefined ? {} : { usage }),
  ...(decision === undefined ? {} : { decision })
})

/** An outcome that fits into one event. */
const written = ({ result, status, usage }: ToolOutcome, limit: number): ToolOutcome => {
  const json = toJson(result)
  if (Result.isFailure(json)) return failed(`The result cannot be written as JSON. ${json.failure}`)
  const { text, value } = json.success
  return text.length <= limit
    ? { status, result: value, usage }
    : { ...failed(`The result of the tool is larger than ${limit} bytes. Ask for less.`), usage }
}

const unchecked = Result.fail(failed("The call could not be checked and was not executed."))

/** The decision about a call that nobody has decided in time. */
const unanswered = ({ timeout }: ApprovalPolicy) =>
  timeout === undefined ? undefined : {
    timeout,
    decision: { approved: false, reason: `Nobody allowed the call within ${Duration.format(timeout)}.` }
  }

/** Gives a tool `ToolProgress`, and writes the latest report at most every 100 ms for as long as the tool runs. */
const withProgress = <A>(toolCallId: string, emit: Emit, execute: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.gen(function*() {
    const latest = yield* Queue.sliding<Schema.Json>(1)
    const report = (data: unknown) => {
      const json = toJson(data)
      if (Result.isFailure(json)) {
        return Effect.logWarning(`A progress report was dropped: it cannot be written as JSON. ${json.failure}`)
      }
      return ContentBounds.fitsBytes(json.success.text, progressBytes)
        ? Effect.asVoid(Queue.offer(latest, json.success.value))
        : Effect.logDebug("A progress report of more than 4 KiB was dropped.")
    }
    const write = Effect.gen(function*() {
      while (true) {
        yield* emit([{ type: "tool_progress", toolCallId, data: yield* Queue.take(latest) }])
        yield* Effect.sleep(progressPause)
      }
    })
    return yield* Effect.raceFirst(Effect.provideService(execute, ToolProgress, report), write)
  })

/** Executes calls. The results are in the order of the calls; each is written as soon as it is there. */
export type ToolCalls = (input: ToolCallsInput) => Effect.Effect<ReadonlyArray<CallResult>>

export const makeToolCalls = (options: ToolCallsOptions): ToolCalls => {
  const { approval, tools } = options
  const runTool = makeRunTool()

  const execute = Effect.fnUntraced(function*(
    call: ToolCallPart,
    prepared: PreparedCall,
    decision: Decision | undefined,
    emit: Emit
  ) {
    const { args, tool, toolCallId } = call
    const child = yield* reserveChild(call)
    if (child !== undefined && Result.isFailure(child)) return failed(child.failure)
    // The first event of a call names its child task.
    const named = child === undefined || child.success.isNamed ? {} : { childTaskId: child.success.taskId }
    yield* emit([{ type: "tool_call", tool, toolCallId, args, status: "executing", ...named }])
    const timeout = timeoutOf(tools, tool) ?? options.timeout
    const limit = (yield* CurrentTaskLimits).eventBytes - envelopeBytes - (JSON.stringify(decision)?.length ?? 0)
    const executed = Effect.map(prepared.execute, (outcome) => written(outcome, limit))
    return yield* withProgress(toolCallId, emit, runTool({ tool, timeout, execute: executed }))
  })

  /** The child task of a call that runs an agent, or why there can be none. Undefined for other calls. */
  const reserveChild = Effect.fnUntraced(function*({ tool, toolCallId }: ToolCallPart) {
    const agentId = agentOf(tools, tool)
    return agentId === undefined ? undefined : (yield* CurrentChildTasks).reserve(toolCallId, agentId)
  })

  const prepare = (call: ToolCallPart) =>
    Effect.catchDefect(
      tools.prepare(call),
      (defect) =>
        Effect.as(Effect.logError(`The arguments of tool "${call.tool}" could not be checked.`, defect), unchecked)
    )

  const isRequired = (call: ToolCallPart, prepared: PreparedCall, input: ToolCallsInput) =>
    Effect.suspend((): Effect.Effect<boolean> => {
      if (approval.required === "tool") return prepared.needsApproval(input.messages)
      return typeof approval.required === "string"
        ? Effect.succeed(approval.required === "always")
        : approval.required({ tool: call.tool, toolCallId: call.toolCallId, args: call.args })
    }).pipe(
      // If this cannot be determined, a person decides.
      Effect.catchDefect((defect) =>
        Effect.as(Effect.logError(`Whether tool "${call.tool}" needs approval could not be checked.`, defect), true)
      )
    )

  const decide = Effect.fnUntraced(function*(call: ToolCallPart, past: PastCall, input: ToolCallsInput) {
    if (past.decision !== undefined) return past.decision
    const { args, tool, toolCallId } = call
    if (!past.asked) yield* input.emit([{ type: "tool_approval", tool, toolCallId, args }])
    const decision = yield* input.awaitDecision(toolCallId, unanswered(approval))
    yield* input.emit([{ type: "tool_approval", tool, toolCallId, args, decision }])
    return decision
  })

  const answer = Effect.fnUntraced(function*(
    asked: ToolCallPart,
    input: ToolCallsInput,
    permits: Semaphore.Semaphore | undefined
  ): Effect.fn.Return<CallResult> {
    const past = input.past.get(asked.toolCallId) ?? never
    if (past.entered && !isSafeToRepeat(tools, asked.tool)) {
      return Settlement.interruptedResult({ ...asked, entered: true, decision: past.decision })
    }
    let call = asked
    let prepared = yield* prepare(call)
    if (Result.isFailure(prepared)) return resultPart(call, prepared.failure)
    let decision: Decision | undefined
    if (past.asked || (!past.entered && (yield* isRequired(call, prepared.success, input)))) {
      decision = yield* decide(call, past, input)
      if (!decision.approved) {
        const reason = decision.reason ?? "The user did not allow the call."
        return resultPart(call, { status: "error", result: { type: "denied", reason } }, decision)
      }
      // Clients write null for what they leave out.
      if (decision.args !== undefined && decision.args !== null) {
        call = { ...call, args: decision.args }
        prepared = yield* prepare(call)
        if (Result.isFailure(prepared)) return resultPart(call, prepared.failure, decision)
      }
    }
    const executed = withToolSpan(execute(call, prepared.success, decision, input.emit), call)
    // A call of an agent only waits, and must not keep its task from saying so.
    const isFree = permits === undefined || agentOf(tools, call.tool) !== undefined
    return resultPart(call, yield* isFree ? executed : permits.withPermit(executed), decision)
  })

  /** The tokens of each call of an agent: together they take no more than what is left. */
  const shareOf = ({ calls, remainingTokens }: ToolCallsInput): number | undefined => {
    if (remainingTokens === undefined) return undefined
    const sharing = calls.filter(({ tool }) => agentOf(tools, tool) !== undefined).length
    return sharing === 0 ? undefined : Math.max(0, Math.floor(remainingTokens / sharing))
  }

  return (input) => {
    const count = input.calls.length
    const permits = count > options.concurrency ? Semaphore.makeUnsafe(options.concurrency) : undefined
    const answered = (call: ToolCallPart) => Effect.tap(answer(call, input, permits), (result) => input.emit([result]))
    // A single call may wait for a long time. It runs in the fiber of the agent, to save memory.
    return Effect.forEach(input.calls, answered, { concurrency: count === 1 ? 1 : "unbounded" }).pipe(
      Effect.provideService(ChildBudget, shareOf(input))
    )
  }
}
