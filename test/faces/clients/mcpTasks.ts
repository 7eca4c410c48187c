/** The client of revision 2026-07-28, which has no handshake, and its Tasks extension. */
import { Client as McpClient, type RequestOptions, StreamableHTTPClientTransport } from "@modelcontextprotocol/client"
import { createTaskSessionFromClient, type RawClientDispatch } from "@modelcontextprotocol/ext-tasks/client"
import { type CallToolResult, CallToolResultSchema } from "@modelcontextprotocol/sdk/types.js"
import { Effect, Fiber } from "effect"
import assert from "node:assert/strict"
import * as Rest from "../../support/rest.ts"
import type { Client, Server } from "../client.ts"
import * as Proxy from "../proxy.ts"
import { textsOf, whole } from "./mcp.ts"

const protocolVersion = "2026-07-28"

type Answer = () => { readonly action: "accept"; readonly content: { readonly approve: boolean } }

const reconnectionOptions = {
  initialReconnectionDelay: 1,
  maxReconnectionDelay: 10,
  reconnectionDelayGrowFactor: 1,
  maxRetries: 2
}

export const connect = (address: string, answer?: Answer) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new McpClient({ name: "test", version: "1" }, {
        capabilities: answer === undefined ? {} : { elicitation: { form: {} } },
        versionNegotiation: { mode: "auto" }
      })
      if (answer !== undefined) client.setRequestHandler("elicitation/create", answer)
      await client.connect(new StreamableHTTPClientTransport(new URL(`${address}/mcp`), { reconnectionOptions }))
      assert.equal(client.getProtocolEra(), "modern")
      return client
    }),
    (client) => Effect.promise(() => client.close())
  )

const ask = (client: McpClient, message: string, conversationId: string, options: RequestOptions = {}) =>
  Effect.promise((signal) =>
    client.callTool({ name: "assistant", arguments: { message, conversationId } }, {
      resetTimeoutOnProgress: true,
      onprogress: () => undefined,
      signal,
      ...options
    })
  )

/** How the extension sends its messages, which its client leaves to the program. */
const dispatch = (address: string): RawClientDispatch => {
  let id = 0
  return async (request, options) => {
    const { method } = Object(request)
    const response = await fetch(`${address}/mcp`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        "mcp-protocol-version": protocolVersion,
        "mcp-method": method
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: `raw-${id++}`, ...Object(request) }),
      signal: options?.signal ?? null
    })
    const { error, result } = Object(await response.json())
    return error === undefined ? { kind: "result", result } : { kind: "error", error }
  }
}

/** A session of the Tasks extension. */
export const connectTasks = Effect.fnUntraced(function*(address: string, answer?: Answer) {
  const client = yield* connect(address)
  return yield* Effect.acquireRelease(
    Effect.sync(() =>
      createTaskSessionFromClient(client, {
        endpointId: "test",
        rawDispatch: dispatch(address),
        v2RequestFraming: {
          protocolVersion,
          clientInfo: { name: "test", version: "1" },
          clientCapabilities: answer === undefined ? {} : { elicitation: { form: {} } }
        },
        ...(answer === undefined ? {} : {
          // The handler is asked for forms alone.
          onInputRequest: async () => answer() as never
        })
      })
    ),
    (session) => Effect.promise(() => session.close())
  )
})

type Session = Effect.Success<ReturnType<typeof connectTasks>>

/** A call that became a task. */
export const begin = (session: Session, message: string, conversationId: string, tool = "assistant") =>
  Effect.promise(async () => {
    const execution = await session.callTool(tool, { message, conversationId })
    assert(execution.kind === "task")
    return execution
  })

type Execution = Effect.Success<ReturnType<typeof begin>>

const settle = (execution: Execution) => Effect.promise(async () => (await execution.settle()).outcome)

export const resultOf = Effect.fnUntraced(function*(execution: Execution) {
  const outcome = yield* settle(execution)
  assert(outcome.status === "completed")
  return CallToolResultSchema.parse(outcome.result)
})

const parsed = (result: unknown): CallToolResult => CallToolResultSchema.parse(result)

const dropped = (cut: Proxy.Cut) =>
  Effect.fnUntraced(function*(server: Server) {
    for (const word of ["look", "stumble"]) {
      for (const k of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) {
        const frames = (stream: number) => stream === 0 || k > 1 ? k : Infinity
        const proxy = yield* Proxy.make(server.port, { cut, frames })
        const client = yield* connect(proxy.address)
        const result = parsed(yield* ask(client, `${word} ${k}`, `${word} ${k}`))
        // The revisions of the server, the call, and its resumptions. A cut may come after the last event.
        assert([1, 2].includes(proxy.requests().length - proxy.cuts()), proxy.requests().join(", "))
        yield* whole(result, server.address, `${word} ${k}`)
      }
    }
  })

export const mcpTasks: Client = {
  name: "MCP 2026-07-28, with Tasks",
  npm: "@modelcontextprotocol/client",
  cases: {
    stream: Effect.fnUntraced(function*(server) {
      const client = yield* connect(server.address)
      const { tools } = yield* Effect.promise(() => client.listTools())
      assert.deepEqual(tools.map(({ name }) => name), ["assistant"])
      const session = yield* connectTasks(server.address)
      for (const word of ["tell", "look", "stumble"]) {
        const result = parsed(yield* ask(client, `${word} me`, word))
        assert.equal(result.isError, undefined)
        yield* whole(result, server.address, word)
        const execution = yield* begin(session, `${word} us`, `${word} as a task`)
        yield* whole(yield* resultOf(execution), server.address, `${word} as a task`)
      }
    }),
    "dropped hard": dropped("hard"),
    "dropped orderly": dropped("orderly"),
    resume: Effect.fnUntraced(function*(server) {
      const session = yield* connectTasks(server.address)
      const execution = yield* begin(session, "wait for it", "c1")
      const reference = execution.serializeReference()
      yield* Effect.promise(() => execution.detach())
      // The program is started again, and knows the task.
      const again = yield* connectTasks(server.address)
      const resumed = yield* Effect.promise(() => again.resumeTask(reference))
      assert(resumed.kind === "task")
      const result = yield* Effect.forkChild(resultOf(resumed))
      yield* server.gate.open
      yield* whole(yield* Fiber.join(result), server.address, "c1")
    }),
    cancel: Effect.fnUntraced(function*(server) {
      const session = yield* connectTasks(server.address)
      const execution = yield* begin(session, "hold on", "c1")
      yield* Effect.promise(() => execution.cancel())
      assert.equal((yield* settle(execution)).status, "cancelled")
      const { body } = yield* Rest.get(`${server.address}/tasks/${execution.handle.taskId}`)
      assert.equal(body.status, "cancelled")
      yield* whole(yield* resultOf(yield* begin(session, "tell me", "c1")), server.address, "c1")
      // A connection that is closed is no cancel.
      const client = yield* connect(server.address)
      const begun = Promise.withResolvers<void>()
      const running = yield* Effect.forkChild(ask(client, "hold on", "c2", { onprogress: () => begun.resolve() }))
      yield* Effect.promise(() => begun.promise)
      yield* Fiber.interrupt(running)
      const held = yield* Rest.get(`${server.address}/tasks?conversationId=c2`)
      assert.equal(held.body.items[0].status, "running")
    }),
    approval: Effect.fnUntraced(function*(server) {
      for (const approve of [true, false]) {
        const answer: Answer = () => ({ action: "accept", content: { approve } })
        const client = yield* connect(server.address, answer)
        const result = parsed(yield* ask(client, "pay it", `call ${approve}`))
        assert.equal(result.isError, undefined)
        yield* whole(result, server.address, `call ${approve}`)
        const session = yield* connectTasks(server.address, answer)
        const execution = yield* begin(session, "pay it", `task ${approve}`)
        yield* whole(yield* resultOf(execution), server.address, `task ${approve}`)
      }
      const client = yield* connect(server.address)
      const told = parsed(yield* ask(client, "pay it", "told"))
      assert.equal(told.isError, true)
      assert.match(textsOf(told)[0] ?? "", /^The agent waits for a person/)
    }),
    "provider error": Effect.fnUntraced(function*(server) {
      const client = yield* connect(server.address)
      const failed = parsed(yield* ask(client, "fail now", "c1"))
      assert.equal(failed.isError, true)
      yield* whole(failed, server.address, "c1")
      const session = yield* connectTasks(server.address)
      const outcome = yield* settle(yield* begin(session, "fail again", "c1"))
      assert(outcome.status === "failed")
      assert.equal(outcome.error.message, "The model provider does not accept the key.")
      yield* whole(parsed(yield* ask(client, "tell me", "c1")), server.address, "c1")
    }),
    "second turn": Effect.fnUntraced(function*(server) {
      const client = yield* connect(server.address)
      yield* whole(parsed(yield* ask(client, "look here", "c1")), server.address, "c1")
      yield* whole(parsed(yield* ask(client, "tell me", "c1")), server.address, "c1")
    })
  }
}
