/**
 * The readers of the answers of a model: a bare SDK, an agent, and tasks of an agent.
 */
import { createOpenAI } from "@ai-sdk/openai"
import Anthropic from "@anthropic-ai/sdk"
import { Agents } from "@perennial/domain/Agent"
import { AgentId, ConversationId, TaskId, UserId } from "@perennial/domain/Ids"
import { userText } from "@perennial/domain/Message"
import { ack, type AgentEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as AiSdkModel from "@perennial/runtime/AiSdkModel"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Deferred, Effect, Layer, ManagedRuntime, Redacted, Schema, Scope } from "effect"
import { type LanguageModel, Tool, Toolkit } from "effect/ai"
import { serve } from "./ipc.ts"
import { resources } from "./server.ts"

/** Concurrent answers: `streams` answers, each with `deltas` deltas. */
export interface Answers {
  readonly port: number
  readonly streams: number
  readonly deltas: number
  /** Milliseconds between two deltas of one answer. */
  readonly pause: number
}

const prompt = ({ deltas, pause }: Answers): string => `deltas ${deltas} ${pause}`

const baseUrl = ({ port }: Pick<Answers, "port">): string => `http://127.0.0.1:${port}`

/** The CPU time of this process for each delta, in microseconds. */
const measured = async (answers: Answers, read: (index: number) => Promise<void>): Promise<number> => {
  const before = process.cpuUsage()
  await Promise.all(Array.from({ length: answers.streams }, (_, i) => read(i)))
  const { system, user } = process.cpuUsage(before)
  return (user + system) / answers.streams / answers.deltas
}

// The tools and the system prompt of the agent.
const tools = Toolkit.make(
  Tool.make("search", { parameters: Schema.Struct({ query: Schema.String }), success: Schema.String }),
  Tool.make("read", { parameters: Schema.Struct({ path: Schema.String }), success: Schema.String }),
  Tool.make("remove", {
    parameters: Schema.Struct({ path: Schema.String }),
    success: Schema.String,
    needsApproval: true
  })
)

const noTool = () => Effect.succeed("")
const handlers = tools.toLayer({ search: noTool, read: noTool, remove: noTool })

const config = { agentId: "bench", systemPrompt: "You are a helpful assistant.", tools }

const anthropic = (server: Pick<Answers, "port">) =>
  AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: baseUrl(server) })

/** The model of OpenAI's provider package. */
const openai = (answers: Pick<Answers, "port">) =>
  createOpenAI({ apiKey: "k", baseURL: `${baseUrl(answers)}/v1`, fetch: AiSdkModel.fetch })("m")

const agentOver = (model: Layer.Layer<LanguageModel.LanguageModel>) =>
  LlmAgent.make({ ...config, model }).pipe(Effect.provide(handlers))

/** Reads the answers with an agent alone. */
const agentCost = async (answers: Answers, model: Layer.Layer<LanguageModel.LanguageModel>): Promise<number> => {
  const agent = await Effect.runPromise(Scope.provide(agentOver(model), Scope.makeUnsafe()))
  return await measured(answers, async () => {
    let characters = 0
    await Effect.runPromise(agent.run(inputOf(answers), (events) => {
      for (const event of events) if (event.type === "text") characters += event.content.length
      return Effect.succeed(1)
    }))
    if (characters !== 18 * answers.deltas) throw new Error(`${characters} characters were read`)
  })
}

const tasksOf = (agents: Layer.Layer<Agents>) =>
  ManagedRuntime.make(
    TaskRuntime.layerMemory.pipe(
      Layer.provide(agents),
      Layer.provide(TaskLimits.layer({ capacity: 100_000 }))
    )
  )

const taskId = TaskId.make("t")
const conversationId = ConversationId.make("c")

/** The input of an agent without a runtime. Its events are not kept. */
const inputOf = (answers: Answers) => ({
  task: {
    taskId,
    conversationId,
    userId: UserId.make("u"),
    agentId: AgentId.make("bench"),
    attempt: 1,
    metadata: {},
    userMetadata: {},
    stopReason: Effect.succeedNone
  },
  history: [userText(prompt(answers))],
  historyMetadata: new Map(),
  journal: [ack({ id: taskId, conversationId, at: 0 })],
  awaitDecision: () => Effect.never,
  makeTitle: () => Effect.void
})

/** The heap, in bytes, of one waiting execution. `start` begins executions. */
const held = async (count: number, start: (count: number) => Promise<void>): Promise<number> => {
  await start(200)
  const before = await resources()
  await start(count)
  const after = await resources()
  return (after.heapBytes - before.heapBytes) / count
}

/** Tasks that wait for a scripted model, for a model API over HTTP, or for a person. */
export interface Waiting {
  readonly count: number
  readonly waitsFor: "model" | "person" | { readonly port: number }
}

const modelOf = ({ waitsFor }: Waiting) => {
  if (typeof waitsFor === "object") return anthropic(waitsFor)
  const turn: ScriptedModel.Turn = waitsFor === "model"
    ? ["Lorem ipsum ", "dolor ", { never: true }]
    : ["Lorem ipsum ", { tool: "remove", params: { path: "a" } }]
  return ScriptedModel.layer({ otherwise: () => turn })
}

/** The last event before the wait. */
const waits = (event: AgentEvent): boolean =>
  event.type === "tool_approval" || (event.type === "text" && event.content.endsWith("dolor "))

const calls = {
  /** Reads the answers with the SDK only: the minimum for any program that uses the SDK. */
  bare: (answers: Answers) => {
    const client = new Anthropic({ apiKey: "k", baseURL: baseUrl(answers), maxRetries: 0 })
    return measured(answers, async () => {
      const events = await client.messages.create({
        model: "m",
        max_tokens: 16_000,
        messages: [{ role: "user", content: prompt(answers) }],
        stream: true
      })
      let deltas = 0
      for await (const event of events) if (event.type === "content_block_delta") deltas++
      if (deltas !== answers.deltas) throw new Error(`${deltas} deltas were read`)
    })
  },

  agent: (answers: Answers) => agentCost(answers, anthropic(answers)),

  /** Reads the answers with OpenAI's provider package only. */
  bareAiSdk: (answers: Answers) =>
    measured(answers, async () => {
      const { stream } = await openai(answers).doStream({
        prompt: [{ role: "user", content: [{ type: "text", text: prompt(answers) }] }]
      })
      let deltas = 0
      for await (const part of stream) if (part.type === "text-delta") deltas++
      if (deltas !== answers.deltas) throw new Error(`${deltas} deltas were read`)
    }),

  agentAiSdk: (answers: Answers) => agentCost(answers, AiSdkModel.layer(openai(answers))),

  /** Reads the answers with tasks: each has a claim, stored events, messages and an end. */
  tasks: async (answers: Answers) => {
    const runtime = tasksOf(Agents.layerEffect([agentOver(anthropic(answers))]))
    const manager = await runtime.runPromise(TaskManager)
    const cost = await measured(answers, async () => {
      const { task } = await runtime.runPromise(
        Effect.flatMap(manager.start({ message: prompt(answers) }), ({ id }) => manager.await(id))
      )
      if (task.status !== "completed") throw new Error(`a task ended with ${task.error?.code}`)
    })
    await runtime.dispose()
    return cost
  },

  /** The heap, in bytes, of one waiting task: in the middle of an answer, or waiting for a person. */
  heap: async (waiting: Waiting) => {
    let reached = 0
    let target = 0
    let all = Deferred.makeUnsafe<void>()
    const note = Effect.sync(() => {
      if (++reached === target) Deferred.doneUnsafe(all, Effect.void)
    })
    const agent = LlmAgent.make({
      ...config,
      model: modelOf(waiting),
      hooks: { onEvent: (event) => waits(event) ? note : Effect.void }
    })
    const runtime = tasksOf(Agents.layerEffect([Effect.provide(agent, handlers)]))
    const manager = await runtime.runPromise(TaskManager)
    return await held(waiting.count, async (count) => {
      target += count
      all = Deferred.makeUnsafe()
      for (let i = 0; i < count; i++) await runtime.runPromise(manager.start({ message: "Go on." }))
      await runtime.runPromise(Deferred.await(all))
    })
  },

  /** The heap, in bytes, of the bare SDK for one answer, in the middle of the answer. */
  bareHeap: (options: { readonly count: number; readonly port: number }) => {
    const client = new Anthropic({ apiKey: "k", baseURL: baseUrl(options), maxRetries: 0 })
    const answers: Array<AsyncIterator<unknown>> = []
    return held(options.count, async (count) => {
      for (let i = 0; i < count; i++) {
        const events = await client.messages.create({
          model: "m",
          max_tokens: 16_000,
          messages: [{ role: "user", content: "Go on." }],
          stream: true
        })
        const answer = events[Symbol.asyncIterator]()
        answers.push(answer)
        // Reads the beginning of the message, the beginning of its text, and the delta.
        for (let n = 0; n < 3; n++) await answer.next()
        void answer.next()
      }
    })
  }
}

export type ModelUser = typeof calls

serve(calls)
