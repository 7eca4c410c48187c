/** D37: deviations of real MCP servers from the protocol. Answers are read if possible; otherwise the model gets an error. */
import { assert, describe, it } from "@effect/vitest"
import { type AgentTools, McpTools } from "@perennial/runtime"
import { Effect, Fiber, Logger, Result, type Schema } from "effect"
import { McpProtocol } from "effect/ai"
import { ChildProcess } from "effect/process"
import { adjust } from "./support/agentTask.ts"
import { type Answer, McpHttpDouble } from "./support/mcpHttpServer.ts"
import { McpServerDouble } from "./support/mcpServer.ts"

const setup = (server: McpHttpDouble, options: Partial<McpTools.McpOptions> = {}) =>
  McpTools.http({ name: "calc", url: "http://mcp.test/mcp", ...options }).pipe(Effect.provide(server.layer))

const call = Effect.fnUntraced(function*(tools: AgentTools.AgentTools, tool: string, args: Schema.Json = {}) {
  const prepared = yield* tools.prepare({ tool, toolCallId: "c1", args })
  return Result.isFailure(prepared) ? prepared.failure : yield* prepared.success.execute
})

/** Calls a tool, and moves the clock on until the call has ended, since reconnecting and polling wait. */
const callInTime = Effect.fnUntraced(function*(tools: AgentTools.AgentTools, tool: string) {
  const fiber = yield* Effect.forkChild(call(tools, tool))
  while (fiber.pollUnsafe() === undefined) yield* adjust("1 second")
  return yield* Fiber.join(fiber)
})

const done = (result: Schema.Json) => ({ status: "completed" as const, result })
const failed = (error: string) => ({ status: "error" as const, result: { error } })

const warnings = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    if (logLevel === "Warn") lines.push(String(message))
  })
  yield* Effect.provide(effect, Logger.layer([logger]))
  return lines
})

describe("D37: the revision of the protocol", () => {
  const versions = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05", "2026-07-28"]
  const ways = ["answers-with-its-own", "400", "400-with-list", "error"] as const
  const all = versions.flatMap((version) => ways.map((way) => [version, way] as const)).filter(
    // A server of the newest revision does not answer `initialize`.
    ([version, way]) => version !== "2026-07-28" || way !== "answers-with-its-own"
  )

  it.effect.each(all)(
    "is negotiated with a server of revision %s that refuses other revisions like this: %s",
    ([version, refuses]) =>
      Effect.gen(function*() {
        const server = new McpHttpDouble()
        Object.assign(server, { version, refuses })
        const tools = yield* setup(server)
        assert.deepStrictEqual(Object.keys(tools.tools), ["calc__echo"])
        assert.deepStrictEqual(yield* call(tools, "calc__echo", { a: 1 }), done("{\"a\":1}"))
      })
  )

  it.effect("is remembered: the next connection begins with it", () =>
    Effect.gen(function*() {
      const server = new McpHttpDouble()
      server.version = "2025-03-26"
      const tools = yield* setup(server)
      server.forget()
      yield* callInTime(tools, "calc__echo")
      assert.deepStrictEqual(server.asked.filter((asked) => asked.startsWith("initialize")), [
        "initialize 2025-11-25",
        "initialize 2025-03-26",
        "initialize 2025-03-26"
      ])
    }))

  it.effect("is the requested revision if the server answers with an unknown one", () =>
    Effect.gen(function*() {
      const server = new McpHttpDouble()
      server.version = "2025-09-09"
      assert.deepStrictEqual(yield* call(yield* setup(server), "calc__echo"), done("{}"))
    }))

  it.effect("is the revision of the options, if they name one", () =>
    Effect.gen(function*() {
      const server = new McpHttpDouble()
      server.version = "2025-06-18"
      assert.deepStrictEqual(Object.keys((yield* setup(server, { protocol: McpProtocol.v2025_11_25 })).tools), [])
      assert.deepStrictEqual(Object.keys((yield* setup(server, { protocol: McpProtocol.v2025_06_18 })).tools), [
        "calc__echo"
      ])
    }))

  it.effect("is negotiated with a process, too", () =>
    Effect.gen(function*() {
      const server = new McpServerDouble()
      server.version = "2024-11-05"
      const tools = yield* McpTools.stdio({ name: "calc", command: ChildProcess.make("double", []) }).pipe(
        Effect.provide(server.spawner)
      )
      assert.deepStrictEqual(yield* call(tools, "calc__echo", { a: 1 }), done("{\"a\":1}"))
      assert.strictEqual(server.starts, 2)
    }))
})

describe("D37: the list of tools", () => {
  const object = { type: "object" }
  const odd = {
    no_type: { inputSchema: { properties: { a: {} } } },
    no_schema: {},
    null_schema: { inputSchema: null },
    null_description: { description: null, inputSchema: object },
    null_annotations: { annotations: null, inputSchema: object },
    odd_annotations: { annotations: { readOnlyHint: "yes", title: 1 }, inputSchema: object },
    odd_output: { outputSchema: { properties: {} }, inputSchema: object },
    odd_title: { title: 1, icons: null, _meta: null, inputSchema: object },
    new_field: { inputSchema: object, price: "free" }
  }
  const broken = {
    array: { inputSchema: [] },
    text: { inputSchema: { type: "string" } }
  }
  const listed = (tools: Record<string, object>) =>
    Object.entries(tools).map(([name, tool]) => Object.assign({ name }, tool))

  it.effect("has tools with unusual fields; a broken tool is left out with one warning, and does not affect the others", () =>
    Effect.gen(function*() {
      const server = new McpHttpDouble()
      server.tools = [...listed(odd), ...listed(broken), { inputSchema: object }, "x", null]
      const lines = yield* warnings(Effect.gen(function*() {
        const tools = yield* setup(server)
        assert.deepStrictEqual(Object.keys(tools.tools), Object.keys(odd).map((name) => `calc__${name}`))
        for (const name of Object.keys(tools.tools)) assert.deepStrictEqual(yield* call(tools, name), done("{}"))
        server.forget()
        yield* callInTime(tools, "calc__no_type")
      }))
      assert.deepStrictEqual(lines.filter((line) => line.includes("left out")), [
        "The tool \"array\" of the MCP server \"calc\" is left out: its `inputSchema` is not the schema of an object.",
        "The tool \"text\" of the MCP server \"calc\" is left out: its `inputSchema` is not the schema of an object.",
        "The tool \"\" of the MCP server \"calc\" is left out: it has no name."
      ])
    }))

  it.effect.each([null, "", undefined])("ends with a page whose cursor is %o", (nextCursor) =>
    Effect.gen(function*() {
      const server = new McpHttpDouble()
      server.list = { nextCursor }
      assert.deepStrictEqual(Object.keys((yield* setup(server)).tools), ["calc__echo"])
    }))

  it.effect.each([
    { capabilities: null, serverInfo: null },
    { capabilities: { tools: true, logging: 1 }, serverInfo: { name: "x" }, instructions: null },
    { capabilities: { tools: {}, "new": {} }, serverInfo: {} }
  ])("is read also after an unusual answer to `initialize`: %o", (initialized) =>
    Effect.gen(function*() {
      const server = new McpHttpDouble()
      server.initialized = initialized
      assert.deepStrictEqual(Object.keys((yield* setup(server)).tools), ["calc__echo"])
    }))
})

describe("D37: a session that the server has lost", () => {
  const error = { code: -32_001, message: "Session not found" }
  const lost: ReadonlyArray<readonly [string, Answer]> = [
    ["404", { status: 404 }],
    ["400 without a body", { status: 400 }],
    ["400 with a text", { status: 400, body: "Bad Request: No valid session ID provided", type: "text/plain" }],
    [
      "400 with an error",
      {
        status: 400,
        body: JSON.stringify({ jsonrpc: "2.0", id: null, error: { code: -32_000, message: "Server not initialized" } }),
        type: "application/json"
      }
    ],
    ["an error of JSON-RPC", { error }]
  ]

  it.effect.each(lost)(
    "is replaced by a new session, and the call is repeated once: %s",
    ([, unknownSession]) =>
      Effect.gen(function*() {
        const server = new McpHttpDouble()
        server.unknownSession = unknownSession
        const tools = yield* setup(server)
        server.forget()
        assert.deepStrictEqual(yield* callInTime(tools, "calc__echo"), done("{}"))
        assert.deepStrictEqual(server.asked, [
          "initialize 2025-11-25",
          "unknown session",
          "initialize 2025-11-25",
          "call echo"
        ])
      })
  )

  it.effect("is kept if the server refuses only a call with 400", () =>
    Effect.gen(function*() {
      const server = new McpHttpDouble()
      const body = JSON.stringify({ jsonrpc: "2.0", id: null, error: { code: -32_602, message: "`a` is missing" } })
      server.answers["echo"] = { status: 400, body, type: "application/json" }
      const tools = yield* setup(server)
      assert.deepStrictEqual(
        yield* call(tools, "calc__echo"),
        failed("The call of the MCP server \"calc\" failed: MCP HTTP status 400: `a` is missing")
      )
      assert.deepStrictEqual(server.asked, ["initialize 2025-11-25", "call echo"])
    }))
})

describe("D37: the result of a call", () => {
  const text = (text: unknown) => ({ type: "text", text })
  const results: ReadonlyArray<readonly [string, unknown, unknown]> = [
    ["the text of an error", { isError: true, content: [text("no such id")] }, {
      status: "error",
      result: "no such id"
    }],
    [
      "the text of an error beside structured content",
      { isError: true, content: [text("no such id")], structuredContent: {} },
      { status: "error", result: "no such id" }
    ],
    [
      "an error of structured content only",
      { isError: true, content: [], structuredContent: { code: 7 } },
      { status: "error", result: { code: 7 } }
    ],
    ["an error without content", { isError: true }, { status: "error", result: "The tool failed without a message." }],
    ["no content", {}, done("")],
    ["null", { content: null, structuredContent: null, isError: null, _meta: null }, done("")],
    ["a text instead of the content", { content: "fine" }, done("fine")],
    ["a text instead of the result", "fine", done("fine")],
    ["structured content that is a list", { content: [], structuredContent: [1] }, done("[1]")],
    ["a number instead of a text", { content: [text(4)] }, done("4")],
    [
      "a block of an unknown type",
      { content: [text("a"), { type: "video", mimeType: "video/mp4" }] },
      done(
        "a\n[video of type video/mp4: not a text]"
      )
    ],
    [
      "an image with invalid data",
      { content: [{ type: "image", data: "?", mimeType: "image/png" }] },
      done(
        "[image of type image/png: not a text]"
      )
    ],
    ["links and resources", {
      content: [
        { type: "resource_link", uri: "file:///a", name: "a" },
        { type: "resource", resource: { uri: "file:///b", text: "b" } },
        { type: "resource", resource: { uri: "file:///c", blob: "" } },
        { type: "resource" }
      ]
    }, done("a: file:///a\nb\n[file:///c: not a text]\n[a resource: not a text]")]
  ]

  it.effect.each(results)("%s", ([, result, outcome]) =>
    Effect.gen(function*() {
      const server = new McpHttpDouble()
      server.answers["echo"] = { result }
      assert.deepStrictEqual<unknown>(yield* call(yield* setup(server), "calc__echo"), outcome)
    }))

  it.effect("the message of a JSON-RPC error reaches the model, also if the error has unusual fields", () =>
    Effect.gen(function*() {
      const server = new McpHttpDouble()
      const tools = yield* setup(server)
      const told = (message: string) => failed(`The call of the MCP server "calc" failed: ${message}`)
      server.answers["echo"] = { error: { code: -32_602, message: "Invalid arguments: `a` is missing" } }
      assert.deepStrictEqual(
        yield* call(tools, "calc__echo"),
        told("Invalid arguments: `a` is missing (code -32602)")
      )
      server.answers["echo"] = { error: { code: "E_ARGS", message: "`a` is missing", more: 1 } }
      assert.deepStrictEqual(yield* call(tools, "calc__echo"), told("`a` is missing (code -32603)"))
      server.answers["echo"] = { error: "broken" }
      assert.deepStrictEqual(yield* call(tools, "calc__echo"), told("broken (code -32603)"))
    }))

  const unreadable: ReadonlyArray<readonly [string, Answer]> = [
    ["malformed JSON", { status: 200, body: "{\"jsonrpc\":", type: "application/json" }],
    ["an HTML page", { status: 200, body: "<html>", type: "text/html" }],
    ["no body", { status: 202 }],
    ["another message", {
      status: 200,
      body: "{\"jsonrpc\":\"2.0\",\"id\":999,\"result\":{}}",
      type: "application/json"
    }],
    ["an empty stream", { status: 200, body: "", type: "text/event-stream" }],
    ["a failure of the server", { status: 502, body: "upstream", type: "text/plain" }],
    ["a time-out", { status: 408 }]
  ]

  it.effect.each(unreadable)(
    "is an error that says that the call may have been executed, if the server answers with %s",
    ([, answer]) =>
      Effect.gen(function*() {
        const server = new McpHttpDouble()
        server.answers["echo"] = answer
        const outcome = yield* call(yield* setup(server), "calc__echo")
        assert.strictEqual(outcome.status, "error")
        assert.match(JSON.stringify(outcome.result), /Whether it was executed is not known\./)
      })
  )
})

describe("D37: a stream that the server ends before the result", () => {
  const prime = (id: number) => `id: ${id}\ndata: \n\n`
  const answer = { result: { content: [{ type: "text", text: "at last" }] } }

  it.effect("is resumed after the id of its last event, after the delay that the server names", () =>
    Effect.gen(function*() {
      const server = new McpHttpDouble()
      server.answers["echo"] = { parts: [[prime(1), "retry: 5000\n\n"], [prime(2)], ["id: 3\n", answer]] }
      const tools = yield* setup(server)
      const fiber = yield* Effect.forkChild(call(tools, "calc__echo"))
      yield* adjust("4 seconds")
      assert.deepStrictEqual(server.asked.slice(-1), ["call echo"])
      yield* adjust("6 seconds")
      assert.deepStrictEqual(yield* Fiber.join(fiber), done("at last"))
      assert.deepStrictEqual(server.asked.slice(-3), ["call echo", "resume 1", "resume 2"])
    }))

  it.effect("is resumed also if the connection was cut", () =>
    Effect.gen(function*() {
      const server = new McpHttpDouble()
      server.answers["echo"] = { parts: [[prime(1)], [answer]], cut: true }
      assert.deepStrictEqual(yield* callInTime(yield* setup(server), "calc__echo"), done("at last"))
    }))

  it.effect("is an error for the model if the server cannot resume it", () =>
    Effect.gen(function*() {
      const server = new McpHttpDouble()
      server.answers["echo"] = { parts: [[prime(1)]] }
      const outcome = yield* callInTime(yield* setup(server), "calc__echo")
      assert.match(JSON.stringify(outcome.result), /Whether it was executed is not known\./)
    }))
})

describe("D37: the output of a process", () => {
  it.effect("may have other lines, several messages in one line, unknown fields, and errors without a request", () =>
    Effect.gen(function*() {
      const server = new McpServerDouble()
      server.noise = [
        "Listening on stdio",
        "{\"level\":\"info\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"Parse error\"}}",
        "[{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":null}]"
      ]
      server.envelope = { seq: 1 }
      const tools = yield* McpTools.stdio({ name: "calc", command: ChildProcess.make("double", []) }).pipe(
        Effect.provide(server.spawner)
      )
      assert.deepStrictEqual(yield* call(tools, "calc__echo", { a: 1 }), done("{\"a\":1}"))
      assert.strictEqual(server.starts, 1)
    }))
})
