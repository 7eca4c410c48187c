/** The bounds of child tasks, and what ends them. test/integration/childTasks.test.ts has what crosses processes. */
import { assert, describe, it } from "@effect/vitest"
import { type Agent, make } from "@perennial/domain/Agent"
import { childConversationId, childTaskId, isChildTask, TaskId, UserId } from "@perennial/domain/Ids"
import { userText } from "@perennial/domain/Message"
import { TaskBackendError } from "@perennial/domain/TaskError"
import { zero } from "@perennial/domain/Usage"
import { AgentTools, LlmAgent, ScriptedModel } from "@perennial/runtime"
import { Effect, Layer, Queue, References } from "effect"
import { ask, makeResearcher, makeWriter } from "../../../test/support/delegating.ts"
import { storedLog, untilEnded } from "./support/invariants.ts"
import { shared, startProcess, type Store } from "./support/processes.ts"

const resultsOf = (both: Store, id: TaskId) =>
  Effect.map(
    storedLog(both, id),
    (log) =>
      log.flatMap(({ event }) =>
        event.type === "tool_result" ? [[event.toolCallId, event.status, event.result] as const] : []
      )
  )

/** An agent with the id `researcher` whose model follows a script, and that has itself as a tool. */
const recursive = (turns: ReadonlyArray<ScriptedModel.Turn>, config: Partial<LlmAgent.AgentConfig> = {}) =>
  makeWriter(turns, { agentId: "researcher", ...config })

const run = Effect.fnUntraced(function*(
  agents: readonly [Agent, ...ReadonlyArray<Agent>],
  limits: Parameters<typeof startProcess>[2] = {}
) {
  const both = yield* shared
  const { manager } = yield* startProcess(both, agents, limits)
  const { id } = yield* manager.start({ message: "Write." })
  const task = yield* untilEnded(both, id)
  return { both, id, manager, results: yield* resultsOf(both, id), task }
})

describe("child tasks", () => {
  it.effect("P11: a task starts at most `childrenPerTask` child tasks; the model is told", () =>
    Effect.gen(function*() {
      const researcher = yield* makeResearcher
      yield* researcher.release.open
      const writer = yield* makeWriter([[ask("a"), ask("b"), ask("c")], [ask("d")], ["written"]])
      const { manager, id, results, task } = yield* run([writer, researcher.agent], { childrenPerTask: 2, capacity: 1 })
      assert.strictEqual(task.status, "completed")
      const refusal = {
        error: "The task has started 2 tasks, and may start no more. Do the rest of the work yourself."
      }
      assert.sameDeepMembers(results.filter(([, status]) => status === "error"), [
        ["c", "error", refusal],
        ["d", "error", refusal]
      ])
      assert.deepStrictEqual((yield* manager.list({ parent: id })).map((child) => child.id), [
        childTaskId(id, 2),
        childTaskId(id, 1)
      ])
    }))

  it.effect("P11: child tasks start child tasks down to `childDepth`", () =>
    Effect.gen(function*() {
      const deep = yield* recursive([[ask("one")], [ask("two")], ["depth 1"]])
      const writer = yield* makeWriter([[ask("zero")], ["written"]])
      const { both, id, results, task } = yield* run([writer, deep], { childDepth: 1 })
      assert.strictEqual(task.status, "completed")
      assert.deepStrictEqual(results, [["zero", "completed", "depth 1"]])
      const refusal = { error: "A task at depth 1 starts no further tasks: the limit is 1. Do the work yourself." }
      assert.deepStrictEqual(yield* resultsOf(both, childTaskId(id, 1)), [
        ["one", "error", refusal],
        ["two", "error", refusal]
      ])
      const none = yield* run([yield* makeWriter([[ask("x")], ["written"]]), deep], { childDepth: 0 })
      assert.strictEqual(none.results[0]?.[1], "error")
    }))

  it.effect("an agent that this process does not have is an error for the model", () =>
    Effect.gen(function*() {
      const { results, task } = yield* run([yield* makeWriter([[ask("a")], ["written"]])])
      assert.deepStrictEqual(results, [["a", "error", { error: "There is no agent \"researcher\"." }]])
      assert.strictEqual(task.status, "completed")
    }))

  it.effect("a child that fails is an error for the model, and its usage counts", () =>
    Effect.gen(function*() {
      const failing = yield* recursive([["too long", { finish: "length" }]], {
        budget: { maxTotalTokens: 1, maxSteps: 1 }
      })
      const writer = yield* makeWriter([[ask("a")], ["written"]])
      const broken = make("researcher", () => Effect.die("broken"))
      const { results, task } = yield* run([writer, broken])
      assert.deepStrictEqual(results, [["a", "error", {
        error: "The task failed. The task failed because of an internal error."
      }]])
      assert.strictEqual(task.status, "completed")
      const again = yield* run([yield* makeWriter([[ask("a")], ["written"]]), failing])
      assert.strictEqual(again.task.usage?.requests, 3)
    }))

  it.effect("the calls of a message share what is left of the budget, and what they use counts once", () =>
    Effect.gen(function*() {
      const bounds: Array<number | undefined> = []
      const spending = make("researcher", ({ task }, emit) =>
        Effect.gen(function*() {
          bounds.push(task.maxTotalTokens)
          const usage = { ...zero, requests: 1, inputTokens: 100 }
          yield* emit([{
            type: "message",
            message: { role: "assistant", content: [{ type: "text", text: "ok" }] },
            usage
          }])
          return { usage }
        }))
      const used = { finish: "tool-calls", usage: { input: 50, output: 50 } } as const
      const writer = yield* makeWriter([[ask("a"), ask("b"), used], [ask("c"), used], ["never"]], {
        budget: { maxTotalTokens: 500 }
      })
      const { results, task } = yield* run([writer, spending])
      assert.strictEqual(results.length, 3)
      // 500 - 100, shared by two; then 500 - 100 - 200 - 100.
      assert.deepStrictEqual(bounds, [200, 200, 100])
      assert.strictEqual(task.error?.code, "BudgetExceeded")
      assert.strictEqual(task.usage?.inputTokens, 50 + 50 + 300)
    }))

  it.effect("a child task keeps the budget of its parent, with an agent that has none", () =>
    Effect.gen(function*() {
      const used = { finish: "tool-calls", usage: { input: 60, output: 60 } } as const
      const child = yield* recursive([[{ tool: "nope" }, used], ["never"]])
      const writer = yield* makeWriter([[ask("a"), { finish: "tool-calls", usage: { input: 0, output: 0 } }], [
        "never"
      ]], {
        budget: { maxTotalTokens: 100 }
      })
      const { results, task } = yield* run([writer, child])
      assert.deepStrictEqual(results, [["a", "error", { error: "The task failed. The task has used its 100 tokens." }]])
      assert.strictEqual(task.error?.code, "BudgetExceeded")
    }))

  it.effect("a child whose parent has ended or is gone ends when it is taken up", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const researcher = yield* makeResearcher
      const { manager } = yield* startProcess(both, [researcher.agent])
      yield* researcher.release.open
      const parent = yield* manager.start({ message: "Alone." })
      yield* untilEnded(both, parent.id)
      yield* Queue.take(researcher.begun)
      for (const [number, taskId] of [[1, parent.id], [2, TaskId.make("gone")]] as const) {
        const id = childTaskId(parent.id, number)
        const conversationId = childConversationId(id)
        yield* both.store.create({ id: conversationId, userId: UserId.make("local") })
        yield* both.backend.create({
          id,
          conversationId,
          userId: UserId.make("local"),
          agentId: researcher.agent.agentId,
          input: userText("late"),
          spec: { parent: { taskId, toolCallId: "call", seq: 4 } }
        }, { onBusy: "reject", maxQueued: 0 })
        assert.strictEqual((yield* untilEnded(both, id)).status, "cancelled")
      }
      assert.strictEqual(yield* Queue.size(researcher.begun), 0)
    }))

  it.effect("P7: at the deadline of its parent a child ends too, and before its parent", () =>
    Effect.gen(function*() {
      const researcher = yield* makeResearcher
      const writer = yield* makeWriter([[ask("a")], [{ never: true }]], { timeouts: { task: "1 minute" } })
      const both = yield* shared
      const { manager } = yield* startProcess(both, [writer, researcher.agent])
      const { id } = yield* manager.start({ message: "Write." })
      yield* Queue.take(researcher.begun)
      const { error } = yield* untilEnded(both, id, 90)
      assert.strictEqual(error?.code, "DeadlineExceeded")
      const child = yield* both.backend.get(childTaskId(id, 1))
      assert.oneOf(child.error?.code ?? child.status, ["DeadlineExceeded", "cancelled"])
      assert.isTrue(yield* Effect.map(Queue.size(researcher.stopped), (stops) => stops === 1))
    }))

  it.effect("a call of an agent may need approval, and a person finds it in the list of what waits", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const researcher = yield* makeResearcher
      yield* researcher.release.open
      const model = yield* Layer.build(ScriptedModel.layer({ turns: [[ask("a")], ["written"]] }))
      const writer = yield* LlmAgent.make({
        agentId: "writer",
        systemPrompt: "Write.",
        tools: AgentTools.agent("researcher", { description: "Finds facts.", needsApproval: true })
      }).pipe(Effect.provide(model))
      const { manager } = yield* startProcess(both, [writer, researcher.agent])
      const { id } = yield* manager.start({ message: "Write." })
      yield* Effect.repeat(Effect.yieldNow, { times: 200 })
      assert.deepStrictEqual(yield* manager.list({ parent: id }), [])
      yield* manager.decide(id, "a", { approved: true })
      assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
      assert.strictEqual((yield* manager.list({ parent: id })).length, 1)
    }))

  it.effect("P8: a child whose parent cannot be read ends at some point", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const unreadable: Store["backend"]["get"] = (id, options) =>
        isChildTask(id)
          ? both.backend.get(id, options)
          : new TaskBackendError({ operation: "get", cause: "The record cannot be read." })
      const researcher = yield* makeResearcher
      const { manager } = yield* startProcess(
        { ...both, backend: { ...both.backend, get: unreadable } },
        [yield* makeWriter([[ask("a")], ["written"]]), researcher.agent]
      )
      const { id } = yield* manager.start({ message: "Write." })
      assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
      assert.strictEqual((yield* both.backend.get(childTaskId(id, 1))).error?.code, "CrashLoop")
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None")))
})
