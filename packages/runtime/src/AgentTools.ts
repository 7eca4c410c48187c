/**
 * The tools of an agent, with their handlers and the services of the handlers: no type parameters, no requirements.
 *
 * A call never fails. If a tool fails, the model gets an error as the result of the call.
 *
 * @since 0.1.0
 */
import { AgentId } from "@perennial/domain/Ids"
import type { Usage } from "@perennial/domain/Usage"
import { Context, Duration, Effect, Result, Schema, Stream } from "effect"
import { AiError, type Prompt, Tool, Toolkit } from "effect/ai"
import { ChildBudget, CurrentChildTasks } from "./ChildTasks.ts"
import * as ToolProgress from "./ToolProgress.ts"

/**
 * Annotates a tool whose call may run again after a crash has interrupted it: the tool only reads, or it recognizes a
 * repeated `toolCallId`. Without the annotation the model is told that the outcome of the call is unknown (P10).
 *
 * @since 0.1.0
 * @category annotations
 */
export const SafeToRepeat = Context.Reference<boolean>("@perennial/runtime/AgentTools/SafeToRepeat", {
  defaultValue: () => false
})

/**
 * Annotates a tool with a time limit of its own, in place of the agent's `timeouts.tool`.
 *
 * @since 0.1.0
 * @category annotations
 */
export const Timeout = Context.Reference<Duration.Input | undefined>("@perennial/runtime/AgentTools/Timeout", {
  defaultValue: () => undefined
})

/**
 * Annotates a tool whose calls run an agent as a child task: the id of the agent. `agent` makes such tools.
 *
 * @since 0.1.0
 * @category annotations
 */
export const RunsAgent = Context.Reference<AgentId | undefined>("@perennial/runtime/AgentTools/RunsAgent", {
  defaultValue: () => undefined
})

/**
 * The result of a tool call.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolOutcome {
  readonly status: "completed" | "error"
  /** The log and the model get the value as JSON writes it. If JSON cannot write it, the result is an error. */
  readonly result: Schema.Json
  /** What the child task of the call has used. */
  readonly usage?: Usage | undefined
}

/**
 * A call of a tool, as the model asked for it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolInvocation {
  readonly tool: string
  readonly toolCallId: string
  readonly args: Schema.Json
}

/**
 * A call whose tool exists and whose arguments are valid.
 *
 * @since 0.1.0
 * @category models
 */
export interface PreparedCall {
  /** Whether a person has to approve the call first. */
  readonly needsApproval: (messages: () => ReadonlyArray<Prompt.Message>) => Effect.Effect<boolean>
  /** Runs the tool. A defect is logged, and the model gets an internal error as the result. */
  readonly execute: Effect.Effect<ToolOutcome>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface AgentTools {
  /** The tools that the model may call at this moment. The agent reads them again for every request. */
  readonly tools: Readonly<Record<string, Tool.Any>>
  /** Finds the tool and checks the arguments. A failure becomes the result of the call. */
  readonly prepare: (call: ToolInvocation) => Effect.Effect<Result.Result<PreparedCall, ToolOutcome>>
}

/**
 * An error as the result of a call.
 *
 * @since 0.1.0
 * @category constructors
 */
export const failed = (error: string): ToolOutcome => ({ status: "error", result: { error } })

/**
 * No tools.
 *
 * @since 0.1.0
 * @category constructors
 */
export const empty: AgentTools = {
  tools: {},
  prepare: (call) => Effect.succeed(Result.fail(unknownTool(call.tool, [])))
}

/**
 * The tools of a toolkit. The services that the tools declare come from the context of this effect. The services of the
 * task (`CurrentTask`, `ToolProgress`, the span) have precedence.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromToolkit = <Tools extends Record<string, Tool.Any>>(
  toolkit: Toolkit.Toolkit<Tools>
): Effect.Effect<AgentTools, never, Tool.HandlersFor<Tools> | Tool.HandlerServices<Tools[keyof Tools]>> =>
  Effect.flatMap(toolkit, fromHandlers)

/**
 * The tools of a toolkit that has its handlers, such as one made from an MCP server.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromHandlers = Effect.fnUntraced(function*<Tools extends Record<string, Tool.Any>>(
  toolkit: Toolkit.WithHandler<Tools>
): Effect.fn.Return<AgentTools, never, Tool.HandlerServices<Tools[keyof Tools]>> {
  const services = yield* Effect.context<Tool.HandlerServices<Tools[keyof Tools]>>()
  const provide = <A, E>(effect: Effect.Effect<A, E, Tool.HandlerServices<Tools[keyof Tools]>>): Effect.Effect<A, E> =>
    Effect.updateContext(effect, (current: Context.Context<never>) => Context.merge(services, current))

  const execute = (tool: Tool.Any, call: ToolInvocation): Effect.Effect<ToolOutcome> =>
    Effect.gen(function*() {
      const report = yield* ToolProgress.ToolProgress
      let last: Tool.HandlerResult<Tools[keyof Tools]> | undefined
      // `prepare` found the tool by this name; `handle` decodes the parameters from unknown.
      const results = toolkit.handle<keyof Tools>(call.tool, call.args as never, call.toolCallId)
      return yield* Stream.unwrap(results).pipe(
        Stream.runForEach((result) =>
          result.preliminary ? report(json(result.encodedResult)) : Effect.sync(() => void (last = result))
        ),
        Effect.provideService(Toolkit.PreliminaryBuffer, 16),
        provide,
        Effect.matchEffect({
          onSuccess: () => Effect.sync(() => completed(last)),
          onFailure: (error) => encodeFailure(tool, error)
        })
      )
    })

  const prepare = Effect.fnUntraced(function*(
    call: ToolInvocation
  ): Effect.fn.Return<Result.Result<PreparedCall, ToolOutcome>> {
    const tool: Tool.Any | undefined = Object.hasOwn(toolkit.tools, call.tool) ? toolkit.tools[call.tool] : undefined
    if (tool === undefined) return Result.fail(unknownTool(call.tool, Object.keys(toolkit.tools)))
    const decoded = yield* decodeArgs(tool, call.args)
    if (Result.isFailure(decoded)) return Result.fail(failed(decoded.failure))
    const { needsApproval } = tool
    return Result.succeed({
      needsApproval: (messages) => {
        if (typeof needsApproval !== "function") return Effect.succeed(needsApproval === true)
        const needed = needsApproval(decoded.success, { toolCallId: call.toolCallId, messages: messages() })
        return Effect.isEffect(needed) ? needed : Effect.succeed(needed)
      },
      execute: execute(tool, call)
    })
  })

  const decodeArgs = (tool: Tool.Any, args: Schema.Json): Effect.Effect<Result.Result<unknown, string>> =>
    Schema.isSchema(tool.parametersSchema)
      // The services of the schemas are among those that `provide` gives.
      ? Schema.decodeEffect(tool.parametersSchema as Schema.Codec<unknown>)(args).pipe(
        Effect.mapError((error) => `The arguments are not valid: ${error.message}`),
        provide,
        Effect.result
      )
      : Effect.succeed(Result.succeed(args))

  const encodeFailure = (tool: Tool.Any, error: unknown): Effect.Effect<ToolOutcome> =>
    AiError.isAiError(error)
      ? Effect.succeed(failed(error.reason.message))
      : Schema.encodeUnknownEffect(tool.failureSchema as Schema.Codec<unknown>)(error).pipe(
        provide,
        Effect.map((encoded): ToolOutcome => ({ status: "error", result: json(encoded) })),
        Effect.orElseSucceed(() => failed(error instanceof Error ? error.message : "The tool failed."))
      )

  return { tools: toolkit.tools, prepare }
})

/**
 * A tool that runs a registered agent, as a child task of the task that calls the tool. The model passes the agent a message,
 * and gets the agent's answer: its output, if it has one, or else the text of its last message.
 *
 * **Details** The child task has its own log and its own conversation, which no list of conversations shows. The `tool_call`
 * event names the child, and `Task.parent` of the child names the call. A cancel, the deadline and the end of the parent end
 * the child, on whichever process it runs; a hand-over does not. After a crash of either task the call goes on with the same
 * child. While a task only waits for its child tasks, it takes no place of the capacity. What the child uses counts as used by
 * the parent. If the parent has a budget of tokens, the calls of one message share what is left of it.
 * `TaskLimits.childrenPerTask` and `TaskLimits.childDepth` are the bounds.
 *
 * **Example** (An agent that asks another one)
 *
 * ```ts
 * import { AgentTools, LlmAgent } from "@perennial/runtime"
 *
 * const researcher = LlmAgent.make({ agentId: "researcher", systemPrompt: "Find facts." })
 * const writer = LlmAgent.make({
 *   agentId: "writer",
 *   systemPrompt: "Write. Ask the researcher for facts.",
 *   tools: AgentTools.agent("researcher", { description: "Finds facts. Pass one question." })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const agent = (agentId: string, options: {
  /** When the model should call the agent, and what it should pass. */
  readonly description: string
  /** The name of the tool; the id of the agent by default. Models take letters, digits, `_` and `-`, at most 64 of them. */
  readonly name?: string | undefined
  /** How long a child task may take. Then the call has an error as its result. The deadline of the parent holds as well. */
  readonly timeout?: Duration.Input | undefined
  /** Whether a person has to approve each call first; no by default. */
  readonly needsApproval?: boolean | undefined
}): AgentTools => {
  const { description, name = agentId, needsApproval = false, timeout } = options
  const id = AgentId.make(agentId)
  const tool = Tool.make(name, { description, parameters: AgentParameters, needsApproval })
    .annotate(RunsAgent, id)
    .annotate(SafeToRepeat, true)
    // The deadline of the child bounds the call.
    .annotate(Timeout, Duration.infinity)
  return {
    tools: { [name]: tool },
    prepare: (call) =>
      Effect.match(decodeAgentArgs(call.args), {
        onFailure: ({ message }) => Result.fail(failed(`The arguments are not valid: ${message}`)),
        onSuccess: ({ message }) =>
          Result.succeed({
            needsApproval: () => Effect.succeed(needsApproval),
            execute: Effect.gen(function*() {
              const children = yield* CurrentChildTasks
              const { answer, status, usage } = yield* children.run({
                toolCallId: call.toolCallId,
                agentId: id,
                message,
                timeout: timeout === undefined ? undefined : Duration.fromInputUnsafe(timeout),
                maxTotalTokens: yield* ChildBudget
              })
              return { status, result: status === "completed" ? answer : { error: answer }, usage }
            })
          })
      })
  }
}

const AgentParameters = Schema.Struct({
  message: Schema.NonEmptyString.annotate({
    description: "What the agent should do, with everything that it has to know."
  })
})

const decodeAgentArgs = Schema.decodeUnknownEffect(AgentParameters)

/**
 * Merges several `AgentTools`. Dies if two tools have the same name. If a remote server adds a tool later whose name is
 * taken, the first tool of that name counts.
 *
 * @since 0.1.0
 * @category combinators
 */
export const merge = (...all: ReadonlyArray<AgentTools>): AgentTools => {
  const names = all.flatMap((some) => Object.keys(some.tools))
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new Error(`Two tools are named "${twice}".`)
  const tools = (): AgentTools["tools"] => {
    const merged: Record<string, Tool.Any> = {}
    for (const some of all) {
      for (const [name, tool] of Object.entries(some.tools)) merged[name] ??= tool
    }
    return merged
  }
  return {
    get tools() {
      return tools()
    },
    prepare: (call) =>
      all.find((some) => Object.hasOwn(some.tools, call.tool))?.prepare(call) ??
        Effect.succeed(Result.fail(unknownTool(call.tool, Object.keys(tools()))))
  }
}

/**
 * Whether a call that was interrupted may run again.
 *
 * @since 0.1.0
 * @category accessors
 */
export const isSafeToRepeat = (self: AgentTools, tool: string): boolean => annotation(self, tool, SafeToRepeat) === true

/**
 * The time limit of a call, if the tool is annotated with one.
 *
 * @since 0.1.0
 * @category accessors
 */
export const timeoutOf = (self: AgentTools, tool: string): Duration.Duration | undefined => {
  const timeout = annotation(self, tool, Timeout)
  return timeout === undefined ? undefined : Duration.fromInputUnsafe(timeout)
}

/**
 * The agent that a tool runs as a child task. Undefined for other tools.
 *
 * @since 0.1.0
 * @category accessors
 */
export const agentOf = (self: AgentTools, tool: string): AgentId | undefined => annotation(self, tool, RunsAgent)

const annotation = <A>(self: AgentTools, tool: string, key: Context.Reference<A>): A | undefined => {
  const found = Object.hasOwn(self.tools, tool) ? self.tools[tool] : undefined
  return found === undefined ? undefined : Context.get(found.annotations, key)
}

const unknownTool = (tool: string, known: ReadonlyArray<string>): ToolOutcome =>
  failed(`There is no tool "${tool}". ${known.length === 0 ? "There are no tools." : `Tools: ${known.join(", ")}.`}`)

const completed = (last: Tool.HandlerResult<Tool.Any> | undefined): ToolOutcome =>
  last !== undefined && last.isFailure && AiError.isAiError(last.result)
    ? failed(last.result.reason.message)
    : { status: last?.isFailure === true ? "error" : "completed", result: json(last?.encodedResult) }

/** Schemas encode to values that are not always JSON, such as dates and `undefined`. The executor of the call makes them JSON. */
const json = (encoded: unknown): Schema.Json => encoded as Schema.Json
