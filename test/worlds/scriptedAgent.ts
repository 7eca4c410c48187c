/**
 * An agent that does what the metadata of its task says, and continues where its journal ends (P10). As a child task it does what
 * its message says.
 */
import { type Agent, make } from "@perennial/domain/Agent"
import { AgentId, isChildTask } from "@perennial/domain/Ids"
import { text, userText } from "@perennial/domain/Message"
import type { AgentEvent, OfType } from "@perennial/domain/TaskEvent"
import { zero } from "@perennial/domain/Usage"
import { CurrentChildTasks } from "@perennial/runtime/ChildTasks"
import { Duration, Effect, Result, type Schema } from "effect"
import type { AgentStep } from "./plan.ts"

/** What an agent did in the world. */
export interface Deed {
  /** A model response begins and ends, or a tool is entered and left. */
  readonly type: "asked" | "answered" | "entered" | "left"
  readonly taskId: string
  readonly attempt: number
  /** The step, or the id of the tool call. */
  readonly call: string
  readonly tool: string
  readonly process: string
}

/** How long a tool waits for an approval, in milliseconds. */
export const approvalMillis = 8_000

export const agentId = AgentId.make("scripted")

export interface Options {
  readonly process: string
  readonly record: (deed: Deed) => void
}

export const scriptedAgent = ({ process, record }: Options): Agent =>
  make(agentId, ({ awaitDecision, history, journal, task }, emit) => {
    const results = new Set<string>()
    const called = new Set<string>()
    const questions = new Set<string>()
    let messages = 0
    for (const { event } of journal) {
      if (event.type === "tool_result") results.add(event.toolCallId)
      if (event.type === "tool_call") called.add(event.toolCallId)
      if (event.type === "tool_approval") questions.add(event.toolCallId)
      if (event.type === "message") messages++
    }
    const deed = (type: Deed["type"], call: string, tool: string) =>
      Effect.sync(() => record({ type, call, tool, process, taskId: task.taskId, attempt: task.attempt }))
    const answer = (content: OfType<"message">["message"]["content"]): AgentEvent => ({
      type: "message",
      message: { role: "assistant", content },
      usage: zero
    })

    const say = Effect.fnUntraced(
      function*({ length, millis, words }: AgentStep & { readonly type: "say" }, call: string) {
        yield* deed("asked", call, "model")
        for (let word = 0; word < words; word++) {
          if (millis > 0) yield* Effect.sleep(millis)
          yield* emit([{ type: "text", content: length === undefined ? `${word} ` : "x".repeat(length) }])
        }
        yield* emit([answer([{ type: "text", text: "said" }])])
        yield* deed("answered", call, "model")
      }
    )

    const resultOf =
      (tool: string, toolCallId: string) =>
      (result: Schema.Json, status: "completed" | "interrupted" | "error"): AgentEvent => ({
        type: "tool_result",
        tool,
        toolCallId,
        result,
        status
      })

    const delegate = Effect.fnUntraced(
      function*({ steps }: AgentStep & { readonly type: "ask" }, toolCallId: string) {
        const result = resultOf("ask", toolCallId)
        const children = yield* CurrentChildTasks
        const child = children.reserve(toolCallId, agentId)
        if (Result.isFailure(child)) return yield* emit([result(child.failure, "error")])
        const named = child.success.isNamed ? {} : { childTaskId: child.success.taskId }
        yield* emit([{ type: "tool_call", tool: "ask", toolCallId, args: {}, status: "executing", ...named }])
        const { answer, status } = yield* children.run({ toolCallId, agentId, message: JSON.stringify(steps) })
        return yield* emit([result(answer, status)])
      }
    )

    const use = Effect.fnUntraced(function*(
      { asks, millis, tidyMillis, tool }: AgentStep & { readonly type: "call" },
      toolCallId: string
    ) {
      const result = resultOf(tool, toolCallId)
      if (asks && !called.has(toolCallId)) {
        if (!questions.has(toolCallId)) yield* emit([{ type: "tool_approval", tool, toolCallId, args: {} }])
        const decision = yield* awaitDecision(toolCallId, {
          timeout: Duration.millis(approvalMillis),
          decision: { approved: false, reason: "nobody decided" }
        })
        if (!decision.approved) return yield* emit([result("not approved", "error")])
      }
      if (called.has(toolCallId) && tool === "pay") return yield* emit([result("unknown", "interrupted")])
      yield* emit([{ type: "tool_call", tool, toolCallId, args: {}, status: "executing" }])
      yield* deed("entered", toolCallId, tool)
      yield* Effect.sleep(millis).pipe(
        Effect.onInterrupt(() => Effect.sleep(tidyMillis)),
        Effect.ensuring(deed("left", toolCallId, tool))
      )
      return yield* emit([result("done", "completed")])
    })

    const run = Effect.gen(function*() {
      const asked = history.findLast(({ role }) => role === "user") ?? userText("[]")
      // Both come from a plan.
      const steps = (isChildTask(task.taskId) ? JSON.parse(text(asked)) : task.metadata["steps"]) as ReadonlyArray<
        AgentStep
      >
      for (const [i, step] of steps.entries()) {
        if (step.type === "say") {
          if (i >= messages) yield* say(step, String(i))
          continue
        }
        const calls = Array.from({ length: step.calls }, (_, call) => `${i}.${call}`)
        const tool = step.type === "ask" ? "ask" : step.tool
        if (i >= messages) {
          yield* emit([answer(calls.map((toolCallId) => ({ type: "tool_call", toolCallId, tool, args: {} })))])
        }
        const open = calls.filter((call) => !results.has(call))
        const run = (call: string) => step.type === "ask" ? delegate(step, call) : use(step, call)
        yield* Effect.forEach(open, run, { concurrency: "unbounded", discard: true })
      }
      return { usage: zero }
    })
    return run
  })
