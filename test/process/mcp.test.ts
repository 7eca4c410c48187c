import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { ConversationId } from "@perennial/domain/Ids"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import type { AgentTools } from "@perennial/runtime/AgentTools"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as McpTools from "@perennial/runtime/McpTools"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Effect, Fiber, Layer, Queue, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { ChildProcess, ChildProcessSpawner } from "effect/process"

const layer = Layer.merge(NodeServices.layer, FetchHttpClient.layer)

const c1 = ConversationId.make("c1")
const args = ["examples/src/mcpServer.ts"]

/** The start of a process takes long on a busy machine. */
const patient = { connectTimeout: "1 minute" } as const

const shop = { name: "shop", command: ChildProcess.make(process.execPath, args), ...patient }

/** A spawner of processes. `nextLine` waits for a line of their standard error, and `kill` kills the last process. */
const spy = Effect.gen(function*() {
  const real = yield* ChildProcessSpawner.ChildProcessSpawner
  const lines = yield* Queue.unbounded<string>()
  const handles: Array<ChildProcessSpawner.ChildProcessHandle> = []
  const spawner = ChildProcessSpawner.make((command) =>
    Effect.map(real.spawn(command), (handle) => {
      handles.push(handle)
      const said = handle.stderr.pipe(Stream.decodeText(), Stream.splitLines)
      return ChildProcessSpawner.makeHandle({
        ...handle,
        stderr: Stream.encodeText(Stream.tap(said, (line) => Queue.offer(lines, line)))
      })
    })
  )
  const nextLine = (part: string): Effect.Effect<string> =>
    Effect.filterOrElse(Queue.take(lines), (line) => line.includes(part), () => nextLine(part))
  return {
    spawner,
    nextLine,
    kill: Effect.suspend(() => Effect.ignore(handles.at(-1)?.kill({ killSignal: "SIGKILL" }) ?? Effect.void)),
    starts: () => handles.length
  }
})

/** Starts the MCP server over HTTP, and returns its port. */
const startHttp = Effect.fnUntraced(function*(port: number) {
  const { kill, nextLine, spawner } = yield* spy
  const handle = yield* spawner.spawn(ChildProcess.make(process.execPath, [...args, String(port)]))
  yield* Effect.forkScoped(Effect.ignore(Stream.runDrain(handle.stderr)))
  const line = yield* nextLine("http://")
  return { kill, nextLine, port: Number(/:(\d+)/.exec(line.slice(line.indexOf("http://")))?.[1]) }
})

const start = Effect.fnUntraced(function*(tools: AgentTools, turns: ReadonlyArray<ScriptedModel.Turn>) {
  const agent = LlmAgent.layer({
    agentId: "assistant",
    systemPrompt: "",
    tools,
    model: ScriptedModel.layer({ turns })
  })
  const context = yield* Layer.build(TaskRuntime.layerMemory.pipe(Layer.provide(agent)))
  const tasks = Context.get(context, TaskManager)
  const read = Effect.fnUntraced(function*(conversationId: ConversationId) {
    const task = yield* tasks.start({ message: "Go on.", conversationId })
    const events = yield* Effect.forkScoped(Effect.flatMap(tasks.events(task.id), Stream.runCollect))
    return { id: task.id, events: Fiber.join(events) }
  })
  return { tasks, read }
})

const results = (events: ReadonlyArray<StoredEvent>) =>
  events.flatMap(({ event }) => event.type === "tool_result" ? [[event.status, event.result]] : [])

describe("MCP servers", () => {
  it.live("a call gets an error result if its process is killed, and the next call starts a new process", () =>
    Effect.gen(function*() {
      const server = yield* spy
      const tools = yield* McpTools.stdio(shop).pipe(
        Effect.provideService(ChildProcessSpawner.ChildProcessSpawner, server.spawner)
      )
      const { read } = yield* start(tools, [
        [{ tool: "shop__add", params: { a: 2, b: 3 } }],
        [{ tool: "shop__order", params: { copies: 1, seconds: 600 } }],
        [{ tool: "shop__add", params: { a: 2, b: 4 } }],
        ["Done."]
      ])
      const task = yield* read(c1)
      yield* server.nextLine("Ordering 1.")
      yield* server.kill
      const events = yield* task.events
      const [first, killed, last] = results(events)
      assert.deepStrictEqual([first, last], [["completed", "5"], ["completed", "6"]])
      assert.strictEqual(killed?.[0], "error")
      assert.match(JSON.stringify(killed?.[1]), /Whether it was executed is not known/)
      assert.strictEqual(events.at(-1)?.event.type, "done")
      assert.strictEqual(server.starts(), 2)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("P7: a cancel of the task cancels its call in a process, and the process serves the next call", () =>
    Effect.gen(function*() {
      const server = yield* spy
      const tools = yield* McpTools.stdio(shop).pipe(
        Effect.provideService(ChildProcessSpawner.ChildProcessSpawner, server.spawner)
      )
      const { read, tasks } = yield* start(tools, [
        [{ tool: "shop__order", params: { copies: 2, seconds: 600 } }],
        [{ tool: "shop__add", params: { a: 2, b: 3 } }],
        ["Done."]
      ])
      const task = yield* read(c1)
      yield* server.nextLine("Ordering 2.")
      yield* tasks.cancel(task.id)
      yield* server.nextLine("The order of 2 was cancelled.")
      assert.strictEqual((yield* task.events).at(-1)?.event.type, "cancelled")
      assert.deepStrictEqual(results(yield* (yield* read(c1)).events), [["completed", "5"]])
      assert.strictEqual(server.starts(), 1)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("a server over HTTP is killed and started again: the next call works with a new session", () =>
    Effect.gen(function*() {
      const server = yield* startHttp(0)
      const tools = yield* McpTools.http({ name: "shop", url: `http://127.0.0.1:${server.port}/mcp`, ...patient })
      const { read } = yield* start(tools, [
        [{ tool: "shop__add", params: { a: 2, b: 3 } }],
        ["Done."],
        [{ tool: "shop__order", params: { copies: 3, seconds: 600 } }],
        ["A pity."],
        [{ tool: "shop__add", params: { a: 2, b: 4 } }],
        ["Done."]
      ])
      assert.deepStrictEqual(results(yield* (yield* read(c1)).events), [["completed", "5"]])
      const cut = yield* read(c1)
      yield* server.nextLine("Ordering 3.")
      yield* server.kill
      const [killed] = results(yield* cut.events)
      assert.strictEqual(killed?.[0], "error")
      assert.match(JSON.stringify(killed?.[1]), /Whether it was executed is not known/)
      yield* startHttp(server.port)
      assert.deepStrictEqual(results(yield* (yield* read(c1)).events), [["completed", "6"]])
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("P7: a cancel of the task cancels its call over HTTP", () =>
    Effect.gen(function*() {
      const server = yield* startHttp(0)
      const tools = yield* McpTools.http({ name: "shop", url: `http://127.0.0.1:${server.port}/mcp`, ...patient })
      const { read, tasks } = yield* start(tools, [[{ tool: "shop__order", params: { copies: 4, seconds: 600 } }]])
      const task = yield* read(c1)
      yield* server.nextLine("Ordering 4.")
      yield* tasks.cancel(task.id)
      yield* server.nextLine("The order of 4 was cancelled.")
      assert.strictEqual((yield* task.events).at(-1)?.event.type, "cancelled")
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("the example runs", () =>
    Effect.gen(function*() {
      const server = yield* startHttp(0)
      const output = yield* Effect.flatMap(ChildProcessSpawner.ChildProcessSpawner, (spawner) =>
        spawner.string(ChildProcess.make(process.execPath, ["examples/src/mcp.ts"], {
          env: { MCP_URL: `http://127.0.0.1:${server.port}/mcp` },
          extendEnv: true
        })))
      assert.match(output, /tool: 'shop__add',\n\s+toolCallId: 'call_1',\n\s+result: '42',\n\s+status: 'completed'/)
      assert.match(output, /tool: 'remote__add',\n\s+toolCallId: 'call_2',\n\s+result: '42',\n\s+status: 'completed'/)
    }).pipe(Effect.scoped, Effect.provide(layer)))
})
