/**
 * The loop of an agent: a model request and the tools that it asked for, until an answer asks for no tools or a limit is
 * reached. What the journal shows as finished is not repeated (P10).
 */
import type { AgentError, AgentInput, AgentResult, Emit } from "@perennial/domain/Agent"
import * as ContentBounds from "@perennial/domain/ContentBounds"
import { isChildTask } from "@perennial/domain/Ids"
import type { AssistantMessage, Message, ToolCallPart, UserMessage } from "@perennial/domain/Message"
import * as Settlement from "@perennial/domain/Settlement"
import type { Metadata } from "@perennial/domain/Task"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import * as Usage from "@perennial/domain/Usage"
import { Effect, Option } from "effect"
import { Prompt } from "effect/ai"
import type { TitleMaker } from "../../ConversationTitle.ts"
import type { ModelLimits } from "../../ModelSettings.ts"
import { CurrentTaskLimits } from "../../TaskLimits.ts"
import { acceptAnswer, limitReached } from "./acceptAnswer.ts"
import { budgetExceeded, Meter } from "./budget.ts"
import { asking, type FinalAnswer, missesIn, outputInvalid, type ReadAnswer } from "./finalAnswer.ts"
import type { ModelRequests } from "./modelRequest.ts"
import type { OfferedTools } from "./offeredTools.ts"
import { PromptFitting } from "./promptFitting.ts"
import { noPast, type ResumePoint, resumePoint } from "./resumePoint.ts"
import { eventRoom, messageEvents } from "./splitAnswer.ts"
import { resultPart, type ToolCalls } from "./toolCalls.ts"

export interface LoopOptions {
  readonly systemPrompt: string
  readonly tools: OfferedTools
  readonly requests: ModelRequests
  readonly callTools: ToolCalls
  /** The limits of the model that is asked first. */
  readonly limits: ModelLimits
  /** Steps of one task. In the last step the model may not ask for tools. */
  readonly maxIterations: number
  /** Steps of one task. A step beyond ends the task with an error. */
  readonly maxSteps: number | undefined
  readonly maxTotalTokens: number | undefined
  /** Tokens of one answer. */
  readonly maxTokens: number | undefined
  /** Tokens of one prompt. */
  readonly maxContextTokens: number | undefined
  readonly userMessage: ((message: UserMessage, metadata: Metadata) => UserMessage) | undefined
  readonly titles: TitleMaker | undefined
  /** The final answer that the agent promises. */
  readonly final: FinalAnswer | undefined
}

export const makeLoop = (options: LoopOptions) => {
  const { callTools, final, maxIterations, maxSteps, titles, tools } = options
  const system = Prompt.systemMessage({ content: ContentBounds.wellFormed(options.systemPrompt) })

  return Effect.fnUntraced(function*(input: AgentInput, emit: Emit): Effect.fn.Return<AgentResult, AgentError> {
    const history = shown(input, options.userMessage)
    const done = resumePoint(input.journal)
    const room = eventRoom(yield* CurrentTaskLimits)
    const request = options.requests()
    const prompts = new PromptFitting({
      system,
      tools,
      maxTokens: options.maxTokens,
      maxContextTokens: options.maxContextTokens
    })
    let usage = done.usage
    const maxTotalTokens = smaller(options.maxTotalTokens, input.task.maxTotalTokens)

    const runTools = (calls: ReadonlyArray<ToolCallPart>, past: ResumePoint["past"]) => {
      const { awaitDecision } = input
      const before = history.findLastIndex((message) => message.role === "assistant")
      const messages = () => prompts.prompt(history.slice(0, before), options.limits).content
      const remainingTokens = maxTotalTokens === undefined ? undefined : maxTotalTokens - Usage.total(usage)
      return Effect.map(callTools({ calls, past, messages, awaitDecision, emit, remainingTokens }), (results) => {
        for (const result of results) if (result.usage !== undefined) usage = Usage.add(usage, result.usage)
        history.push({ role: "tool", content: results })
      })
    }

    if (done.hasOutput || (done.complete && final === undefined)) return { usage }
    /** How many final answers were not of the right form, and why the last one was not: the model may repair one. */
    let misses = final === undefined ? 0 : missesIn(history)
    let problem: string | undefined
    if (final !== undefined && done.complete) {
      const read = yield* final.read(lastAnswer(history))
      if (read.output !== undefined) {
        yield* emitAll(emit, outputEvents(read))
        return { usage }
      }
      problem = read.problem
      if (misses > 1) return yield* outputInvalid(problem)
    }
    // Nobody sees the conversation of a child task in a list.
    if (titles !== undefined && !isChildTask(input.task.taskId)) yield* input.makeTitle(titleOf(titles, input.history))
    if (done.open.length > 0) {
      // An earlier attempt may have had more steps.
      if (done.steps >= maxIterations) yield* emitAll(emit, notExecuted(done))
      else yield* runTools(done.open, done.past)
    }

    // The repair of a final answer may be one step more.
    for (let step = done.steps + 1; step <= maxIterations + Math.min(1, misses); step++) {
      if (maxSteps !== undefined && step > maxSteps) return yield* budgetExceeded(`${maxSteps} steps`)
      yield* tools.report
      const last = step >= maxIterations
      const isFinal = final !== undefined && (last || misses > 0)
      const asked = (prompt: Prompt.Prompt) => isFinal ? asking(prompt, problem) : prompt
      const meter = new Meter(usage, maxTotalTokens)
      const answer = yield* request({
        step,
        meter,
        prompt: (limits) => asked(prompts.prompt(history, limits)),
        amended: (error, limits) => {
          const amended = prompts.amended(error, history, limits)
          return amended === undefined ? undefined : asked(amended)
        },
        last,
        final,
        isFinal,
        emit
      })
      if (answer.usage !== undefined) prompts.learn(answer.usage)
      const { spent } = meter
      usage = Usage.add(usage, spent)
      const read = final === undefined ? undefined : yield* final.read(answer.message)
      const { calls, message, refusals } = acceptAnswer(answer, { history, last, read, room })
      // Refusals are written together with their message, so that a recovery does not execute these calls.
      yield* emitAll(emit, [
        ...messageEvents({ message, usage: spent, truncated: answer.finish === "length" }, room),
        ...refusals,
        ...outputEvents(read)
      ])
      if (read?.output !== undefined) break
      if (read === undefined && (calls.length + refusals.length === 0 || last)) break
      if (read?.problem !== undefined || (read !== undefined && last)) {
        problem = read.problem
        if (++misses > 1) return yield* outputInvalid(problem)
      }
      history.push(message)
      if (refusals.length > 0) history.push({ role: "tool", content: refusals })
      if (calls.length > 0) yield* runTools(calls, noPast)
    }
    return { usage }
  })
}

const outputEvents = (read: ReadAnswer | undefined): ReadonlyArray<AgentEvent> =>
  read?.output === undefined ? [] : [{ type: "output", output: read.output }]

/** The last message of the model. */
const lastAnswer = (history: ReadonlyArray<Message>): AssistantMessage =>
  history.findLast((message) => message.role === "assistant") ?? { role: "assistant", content: [] }

const smaller = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? a ?? b : Math.min(a, b)

/** The history as the model sees it. */
const shown = (
  { history, historyMetadata }: AgentInput,
  userMessage: LoopOptions["userMessage"]
): Array<Message> =>
  history.map((message) => {
    const metadata = historyMetadata.get(message)
    return userMessage === undefined || metadata === undefined || message.role !== "user"
      ? message
      : userMessage(message, metadata)
  })

const titleOf = (titles: TitleMaker, history: ReadonlyArray<Message>): Effect.Effect<Option.Option<string>> =>
  Effect.catch(
    titles(history),
    (error) =>
      Effect.as(Effect.logWarning("The title of the conversation could not be made.", error.message), Option.none())
  )

/** The results of open calls in a task that may take no more steps. */
const notExecuted = ({ open, past }: ResumePoint) =>
  open.map((call) => {
    const known = past.get(call.toolCallId)
    return known?.entered === true
      ? Settlement.interruptedResult({ ...call, ...known })
      : resultPart(call, limitReached, known?.decision)
  })

const emitAll = (emit: Emit, events: ReadonlyArray<AgentEvent>): Effect.Effect<void> => {
  const [first, ...rest] = events
  return first === undefined ? Effect.void : Effect.asVoid(emit([first, ...rest]))
}
