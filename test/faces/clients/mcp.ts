/** The client of the MCP SDK with Streamable HTTP, which resumes a stream by `Last-Event-ID`. */
import { Client as McpClient } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { RequestOptions } from "@modelcontextprotocol/sdk/shared/protocol.js"
import { type CallToolResult, CallToolResultSchema, ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js"
import { Effect, Fiber } from "effect"
import assert from "node:assert/strict"
import * as Rest from "../../support/rest.ts"
import * as Sse from "../../support/sse.ts"
import type { Client, Server } from "../client.ts"
import * as Proxy from "../proxy.ts"
import { stored } from "../shown.ts"

type Answer = () => { readonly action: "accept" | "decline"; readonly content?: { readonly approve: boolean } }

const reconnectionOptions = {
  initialReconnectionDelay: 1,
  maxReconnectionDelay: 10,
  reconnectionDelayGrowFactor: 1,
  maxRetries: 2
}

/** A client. With `answer` it can ask a person. It ends with the scope. */
export const connect = (address: string, answer?: Answer) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new McpClient({ name: "test", version: "1" }, {
        capabilities: answer === undefined ? {} : { elicitation: {} }
      })
      if (answer !== undefined) client.setRequestHandler(ElicitRequestSchema, answer)
      const transport = new StreamableHTTPClientTransport(new URL(`${address}/mcp`), { reconnectionOptions })
      await client.connect(transport)
      return client
    }),
    (client) => Effect.promise(() => client.close())
  )

/** Progress keeps a call alive, as the protocol means it. */
const patient: RequestOptions = { resetTimeoutOnProgress: true, onprogress: () => undefined }

const call = (message: string, conversationId: string) => ({
  method: "tools/call" as const,
  params: { name: "assistant", arguments: { message, conversationId } }
})

/** An interruption is the client's own cancel. */
export const ask = (client: McpClient, message: string, conversationId: string, options: RequestOptions = {}) =>
  Effect.promise((signal) =>
    client.request(call(message, conversationId), CallToolResultSchema, { ...patient, ...options, signal })
  )

export const textsOf = ({ content }: CallToolResult): ReadonlyArray<string> =>
  content.map((part) => part.type === "text" ? part.text : part.type)

/** The result has the last text that the conversation has. */
export const whole = Effect.fnUntraced(function*(result: CallToolResult, address: string, conversationId: string) {
  assert.equal(result._meta?.["perennial/conversationId"], conversationId)
  const texts = (yield* stored(address, conversationId)).filter(({ kind }) => kind === "text")
  assert.equal(textsOf(result)[0], texts.at(-1)?.value)
})

/** Cuts the streams of a call after `k` events. The first event of each stream has no message. */
const dropped = (cut: Proxy.Cut) =>
  Effect.fnUntraced(function*(server: Server) {
    for (const word of ["look", "stumble"]) {
      for (const k of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) {
        const frames = (stream: number) => stream === 0 || k > 1 ? k : Infinity
        const proxy = yield* Proxy.make(server.port, { cut, frames })
        const client = yield* connect(proxy.address)
        const result = yield* ask(client, `${word} ${k}`, `${word} ${k}`)
        // The handshake is two requests, and one for a stream that the server does not have. A cut may come after the last event.
        const requests = proxy.requests().filter((line) => !line.startsWith("GET")).length
        const resumed = proxy.requests().length - requests
        assert.equal(requests, 3)
        assert(resumed <= proxy.cuts() + 1, `${resumed} GETs after ${proxy.cuts()} cuts`)
        yield* whole(result, server.address, `${word} ${k}`)
      }
    }
  })

const taskOf = (address: string, conversationId: string) =>
  Effect.map(
    Rest.get(`${address}/tasks?conversationId=${conversationId}`),
    ({ body }) => body.items[0]
  )

/** A call that has begun. */
export const begin = Effect.fnUntraced(
  function*(client: McpClient, message: string, conversationId: string, options: RequestOptions = {}) {
    const begun = Promise.withResolvers<void>()
    const running = yield* Effect.forkChild(
      ask(client, message, conversationId, { ...options, onprogress: () => begun.resolve() })
    )
    yield* Effect.promise(() => begun.promise)
    return running
  }
)

const later = (client: McpClient, taskId: string) =>
  Effect.promise(() =>
    client.request(
      { method: "tools/call", params: { name: "assistant", arguments: { taskId } } },
      CallToolResultSchema
    )
  )

export const mcp: Client = {
  name: "MCP 2025-11-25",
  npm: "@modelcontextprotocol/sdk",
  cases: {
    stream: Effect.fnUntraced(function*(server) {
      const client = yield* connect(server.address)
      const { tools } = yield* Effect.promise(() => client.listTools())
      assert.deepEqual(tools.map(({ name }) => name), ["assistant"])
      for (const word of ["tell", "look", "stumble"]) {
        const progress: Array<number> = []
        const result = yield* ask(client, `${word} me`, word, {
          onprogress: (report) => progress.push(report.progress)
        })
        assert.equal(result.isError, undefined)
        assert(progress.length > 1)
        assert.deepEqual(progress, [...new Set(progress)].toSorted((a, b) => a - b))
        yield* whole(result, server.address, word)
        // The same as a task.
        const types = yield* Effect.promise(async () => {
          const seen: Array<string> = []
          const params = call(`${word} us`, `${word} as a task`).params
          for await (const message of client.experimental.tasks.callToolStream(params)) {
            seen.push(message.type)
            if (message.type === "result") assert.equal(message.result.isError, undefined)
          }
          return seen
        })
        assert.deepEqual([types[0], types.at(-1)], ["taskCreated", "result"])
        const task = yield* taskOf(server.address, encodeURIComponent(`${word} as a task`))
        const again = yield* Effect.promise(() =>
          client.experimental.tasks.getTaskResult(task.id, CallToolResultSchema)
        )
        yield* whole(again, server.address, `${word} as a task`)
      }
      const { tasks } = yield* Effect.promise(() => client.experimental.tasks.listTasks())
      assert.deepEqual(tasks.map(({ status }) => status), Array.from({ length: 6 }, () => "completed"))
    }),
    "dropped hard": dropped("hard"),
    "dropped orderly": dropped("orderly"),
    resume: Effect.fnUntraced(function*(server) {
      let token = ""
      const first = yield* connect(server.address)
      const running = yield* begin(first, "wait for it", "c1", { onresumptiontoken: (given) => token = given })
      // The program is started again, and knows where it was.
      const again = yield* connect(server.address)
      const resumed = yield* Effect.forkChild(ask(again, "wait for it", "c1", { resumptionToken: token }))
      yield* server.gate.open
      yield* whole(yield* Fiber.join(running), server.address, "c1")
      yield* whole(yield* Fiber.join(resumed), server.address, "c1")
      // So it is after the end.
      yield* whole(yield* ask(again, "wait for it", "c1", { resumptionToken: token }), server.address, "c1")
    }),
    cancel: Effect.fnUntraced(function*(server) {
      const client = yield* connect(server.address)
      const running = yield* begin(client, "hold on", "c1")
      const task = yield* taskOf(server.address, "c1")
      yield* Fiber.interrupt(running)
      const { events } = yield* Effect.orDie(Sse.read(`${server.address}/tasks/${task.id}/events`))
      assert.equal(events.at(-1)?.data.type, "cancelled")
      const told = yield* later(client, task.id)
      assert.equal(told.isError, true)
      assert.match(textsOf(told).at(-1) ?? "", /^The task was cancelled\./)
      if (textsOf(told).length > 1) yield* whole(told, server.address, "c1")
      yield* whole(yield* ask(client, "tell me", "c1"), server.address, "c1")
      // A task is cancelled by its id.
      yield* begin(client, "hold on", "c2")
      const other = yield* taskOf(server.address, "c2")
      const { status } = yield* Effect.promise(() => client.experimental.tasks.cancelTask(other.id))
      assert.equal(status, "cancelled")
    }),
    approval: Effect.fnUntraced(function*(server) {
      for (const approve of [true, false]) {
        const client = yield* connect(server.address, () => ({ action: "accept", content: { approve } }))
        const result = yield* ask(client, "pay it", String(approve))
        assert.equal(result.isError, undefined)
        yield* whole(result, server.address, String(approve))
        const lines = yield* stored(server.address, String(approve))
        assert.equal(lines.some(({ kind, value }) => kind === "result" && value === "denied"), !approve)
      }
      // A client that cannot ask is told what to do.
      const client = yield* connect(server.address)
      const waiting = yield* ask(client, "pay it", "told")
      assert.equal(waiting.isError, true)
      const task = yield* taskOf(server.address, "told")
      assert.match(textsOf(waiting)[0] ?? "", new RegExp(`POST /tasks/${task.id}/decisions/`))
      const { toolCallId } = task.waiting[0]
      yield* Rest.post(`${server.address}/tasks/${task.id}/decisions/${toolCallId}`, { approved: true })
      yield* whole(yield* later(client, task.id), server.address, "told")
    }),
    "provider error": Effect.fnUntraced(function*(server) {
      const client = yield* connect(server.address)
      const failed = yield* ask(client, "fail now", "c1")
      assert.equal(failed.isError, true)
      assert.equal(textsOf(failed)[1], "The model provider does not accept the key.")
      yield* whole(failed, server.address, "c1")
      yield* whole(yield* ask(client, "tell me", "c1"), server.address, "c1")
    }),
    "second turn": Effect.fnUntraced(function*(server) {
      const client = yield* connect(server.address)
      const first = yield* ask(client, "look here", "c1")
      yield* whole(first, server.address, "c1")
      yield* whole(yield* ask(client, "tell me", "c1"), server.address, "c1")
      // A conversation that is busy: a sentence, and nothing is repeated.
      yield* begin(client, "hold on", "c1")
      const busy = yield* ask(client, "tell me", "c1")
      assert.equal(busy.isError, true)
      assert.match(textsOf(busy)[0] ?? "", /is busy/)
    })
  }
}
