/** The A2A face over HTTP: cards, users, refusals, files, and what its client does not test. */
import { assert, describe, it } from "@effect/vitest"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import * as A2a from "@perennial/http/faces/a2a/A2a"
import { Context, Duration, Effect, Layer } from "effect"
import {
  body,
  type Call,
  discard,
  json,
  layerLocal,
  layerMemory,
  layerTokens,
  makeCall,
  makeCallOver,
  makeEcho,
  post
} from "../support.ts"

const faces = [A2a.face]
const as = (user: string) => ({ authorization: `Bearer ${user}-secret` })

interface Task {
  readonly id: string
  readonly contextId: string
  readonly status: { readonly state: string; readonly message?: { readonly parts: ReadonlyArray<unknown> } }
  readonly artifacts?: ReadonlyArray<{ readonly artifactId: string; readonly parts: ReadonlyArray<unknown> }>
  readonly history: ReadonlyArray<object>
  readonly metadata: unknown
}

interface Answer {
  readonly id?: string | number | null
  readonly result?: Task & { readonly task: Task; readonly tasks: ReadonlyArray<Task>; readonly totalSize: number }
  readonly error?: {
    readonly code: number
    readonly status?: string
    readonly message: string
    readonly data?: ReadonlyArray<{ readonly reason: string }>
    readonly details?: ReadonlyArray<{ readonly reason: string; readonly domain: string }>
  }
}

const read = (response: Response) => Effect.promise(() => response.json() as Promise<Answer>)

let ids = 0
const message = (text: string, more: object = {}) => ({
  message: { messageId: `m${ids++}`, role: "ROLE_USER", parts: [{ text }], ...more }
})

const rpc = (call: Call, method: string, params: unknown, headers: Record<string, string> = {}) =>
  Effect.flatMap(call("/a2a/echo", post({ jsonrpc: "2.0", id: 7, method, params }, headers)), read)

const codeOf = ({ error }: Answer) => [error?.code, error?.data?.[0]?.reason]

const send = Effect.fnUntraced(function*(call: Call, params: unknown, headers: Record<string, string> = {}) {
  const { error, id, result } = yield* rpc(call, "SendMessage", params, headers)
  assert.strictEqual(id, 7, error?.message)
  assert.isDefined(result)
  return result.task
})

const text = ({ artifacts = [] }: Task) => artifacts.map(({ parts }) => parts)

describe("A2A", () => {
  it.effect("the card needs no token, and says where the agent is", () =>
    Effect.gen(function*() {
      const described = A2a.faceWith({ agents: { echo: { description: "Repeats.", version: "2.1.0" } } })
      const call = yield* makeCall({ server: { faces: [described], prefix: "/agents" }, auth: layerTokens })
      const card = yield* body(yield* call("/agents/.well-known/agent-card.json"))
      assert.strictEqual(yield* body(yield* call("/agents/a2a/echo/.well-known/agent-card.json")), card)
      const { capabilities, description, name, skills, supportedInterfaces, version } = JSON.parse(card)
      assert.deepStrictEqual([name, description, version], ["echo", "Repeats.", "2.1.0"])
      const url = "http://localhost:3000/agents/a2a/echo"
      assert.deepStrictEqual(supportedInterfaces, [
        { url, protocolBinding: "JSONRPC", protocolVersion: "1.0" },
        { url, protocolBinding: "HTTP+JSON", protocolVersion: "1.0" }
      ])
      assert.deepStrictEqual([capabilities.streaming, skills.length], [true, 1])
      const unknown = yield* call("/agents/a2a/other/.well-known/agent-card.json")
      assert.strictEqual(unknown.status, 404)
      yield* discard(unknown)
      const behindProxy = yield* makeCall({ server: { faces, publicUrl: "https://example.com/x" } })
      assert.include(
        yield* body(yield* behindProxy("/.well-known/agent-card.json")),
        "\"https://example.com/x/a2a/echo\""
      )
    }))

  it.effect("P12: what belongs to another user, or to another agent, does not exist", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces }, auth: layerTokens })
      const anonymous = yield* call(
        "/a2a/echo",
        post({ jsonrpc: "2.0", id: 7, method: "GetTask", params: { id: "x" } })
      )
      assert.strictEqual(anonymous.status, 401)
      assert.strictEqual((yield* read(anonymous)).error?.data?.[0]?.reason, "UNAUTHORIZED")
      const { contextId, id } = yield* send(call, message("approve"), as("alice"))
      for (const method of ["GetTask", "CancelTask", "SubscribeToTask"]) {
        assert.deepStrictEqual(codeOf(yield* rpc(call, method, { id }, as("bob"))), [-32001, "TASK_NOT_FOUND"])
      }
      for (const to of [{ taskId: id }, { contextId }, { taskId: "x/y" }]) {
        const answer = yield* rpc(call, "SendMessage", message("yes", to), as("bob"))
        assert.deepStrictEqual(codeOf(answer), [-32001, "TASK_NOT_FOUND"])
      }
      assert.strictEqual((yield* rpc(call, "ListTasks", { contextId }, as("bob"))).result?.totalSize, 0)
      const elsewhere = yield* call(`/a2a/other/tasks/${id}`, { headers: as("alice") })
      assert.strictEqual(elsewhere.status, 404)
      const { error } = yield* read(elsewhere)
      assert.deepStrictEqual([error?.status, error?.details?.[0]?.reason], ["NOT_FOUND", "TASK_NOT_FOUND"])
    }))

  it.effect("JSON-RPC: errors of the protocol, of methods and of parameters", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const raw = (body: string) =>
        Effect.flatMap(
          call("/a2a/echo", { method: "POST", body, headers: { "content-type": "application/json" } }),
          (response) => Effect.map(read(response), ({ error, id }) => [response.status, id, error?.code])
        )
      assert.deepStrictEqual(yield* raw("{"), [200, null, -32700])
      for (const wrong of ["[]", "1", "{}", "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"GetTask\"}"]) {
        assert.deepStrictEqual(yield* raw(wrong), [200, null, -32600], wrong)
      }
      assert.deepStrictEqual(codeOf(yield* rpc(call, "message/send", {})), [-32601, undefined])
      for (const params of [undefined, {}, [], { message: {} }, message("")]) {
        assert.deepStrictEqual(codeOf(yield* rpc(call, "SendMessage", params)), [-32602, "INVALID_PARAMS"])
      }
      for (const params of [{ pageSize: 0 }, { pageSize: 101 }, { status: "X" }, { statusTimestampAfter: "x" }]) {
        assert.deepStrictEqual(codeOf(yield* rpc(call, "ListTasks", params)), [-32602, "INVALID_PARAMS"])
      }
      assert.deepStrictEqual(codeOf(yield* rpc(call, "GetExtendedAgentCard", undefined)), [
        -32007,
        "EXTENDED_AGENT_CARD_NOT_CONFIGURED"
      ])
      const old = { "a2a-version": "0.3" }
      assert.deepStrictEqual(codeOf(yield* rpc(call, "GetTask", { id: "x" }, old)), [-32009, "VERSION_NOT_SUPPORTED"])
      assert.deepStrictEqual(codeOf(yield* rpc(call, "GetTask", { id: "x" }, { "a2a-version": "1.0" })), [
        -32001,
        "TASK_NOT_FOUND"
      ])
    }))

  it.effect("HTTP+JSON: the media type of A2A, and errors in the form of google.rpc.Status", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const sent = yield* call("/a2a/echo/message:send", post(message("a"), { "content-type": "application/a2a+json" }))
      assert.strictEqual(sent.status, 200)
      yield* discard(sent)
      const errorOf = Effect.fnUntraced(function*(path: string, init?: RequestInit) {
        const response = yield* call(path, init)
        const { error } = yield* read(response)
        assert.strictEqual(response.status, error?.code)
        return [error?.code, error?.status, error?.details?.[0]?.reason]
      })
      assert.deepStrictEqual(yield* errorOf("/a2a/echo/message:send", post({})), [
        400,
        "INVALID_ARGUMENT",
        "INVALID_PARAMS"
      ])
      assert.deepStrictEqual(yield* errorOf("/a2a/other/message:send", post(message("a"))), [
        404,
        "NOT_FOUND",
        "AGENT_NOT_FOUND"
      ])
      assert.deepStrictEqual(yield* errorOf("/a2a/echo/tasks?pageSize=0"), [400, "INVALID_ARGUMENT", "INVALID_PARAMS"])
      assert.deepStrictEqual(yield* errorOf("/a2a/echo/tasks/x:cancel", { method: "POST" }), [
        404,
        "NOT_FOUND",
        "TASK_NOT_FOUND"
      ])
    }))

  it.effect("files, metadata and the ids of messages come back in the history", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const parts = [
        { text: "a" },
        { raw: "AAAA", mediaType: "image/png", filename: "a.png" },
        { url: "https://example.com/b.pdf", mediaType: "application/pdf" },
        { data: { n: 1 } }
      ]
      const request = {
        message: { messageId: "first", role: "ROLE_USER", parts, metadata: { a: 1 } },
        metadata: { b: 2 }
      }
      const { contextId, id } = yield* send(call, request)
      const { result: task } = yield* rpc(call, "GetTask", { id })
      assert.deepStrictEqual(task?.history, [{
        messageId: "first",
        contextId,
        taskId: id,
        role: "ROLE_USER",
        parts: [...parts.slice(0, 3), { text: "{\"n\":1}" }],
        metadata: { a: 1 }
      }])
      assert.deepInclude(task?.metadata, { b: 2, agentId: "echo" })
      // The same message again is the same task; another message with its id is refused.
      assert.strictEqual((yield* send(call, request)).id, id)
      const other = message("b", { messageId: "first" })
      assert.deepStrictEqual(codeOf(yield* rpc(call, "SendMessage", other)), [-32602, "INVALID_PARAMS"])
    }))

  it.effect("a message to a conversation that is busy waits for its turn, and lists know the states", () =>
    Effect.gen(function*() {
      const echo = makeEcho()
      const call = yield* makeCall({ server: { faces }, echo })
      const now = { configuration: { returnImmediately: true } }
      const first = yield* send(call, { ...message("hold"), ...now })
      const { contextId } = first
      const second = yield* send(call, { ...message("b", { contextId }), ...now })
      assert.strictEqual(second.status.state, "TASK_STATE_SUBMITTED")
      const listed = (params: object) =>
        Effect.map(rpc(call, "ListTasks", params), ({ result }) => result?.tasks.map(({ id }) => id))
      assert.deepStrictEqual(yield* listed({ status: "TASK_STATE_SUBMITTED" }), [second.id])
      assert.deepStrictEqual(yield* listed({ status: 1 }), [second.id])
      assert.deepStrictEqual(yield* listed({ status: "TASK_STATE_REJECTED" }), [])
      assert.deepStrictEqual(yield* listed({ contextId: "other" }), [])
      const refused = yield* rpc(call, "SendMessage", message("x", { taskId: first.id }))
      assert.deepStrictEqual(codeOf(refused), [-32004, "UNSUPPORTED_OPERATION"])
      yield* echo.gate.open
      const done = yield* send(call, message("c", { contextId }))
      assert.strictEqual(done.status.state, "TASK_STATE_COMPLETED")
      assert.deepStrictEqual(text(done), [[{ text: "done" }]])
      assert.lengthOf((yield* listed({ contextId, status: "TASK_STATE_COMPLETED" })) ?? [], 3)
      assert.deepStrictEqual(yield* listed({ statusTimestampAfter: "2100-01-01T00:00:00Z" }), [])
    }))

  it.effect("a task whose log has expired has what its conversation has", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(layerMemory(makeEcho()))
      const call = yield* makeCallOver(Layer.merge(Layer.succeedContext(context), layerLocal), { faces })
      const { id } = yield* send(call, message("a"))
      const { result: before } = yield* rpc(call, "GetTask", { id })
      const backend = Context.get(context, TaskBackend)
      assert.strictEqual(yield* backend.prune({ finishedFor: Duration.zero, limit: 10 }), 1)
      const { result: after } = yield* rpc(call, "GetTask", { id })
      assert.deepStrictEqual(after?.artifacts, before?.artifacts)
      assert.deepStrictEqual([after?.status.state, after?.history], [before?.status.state, before?.history])
      assert.deepStrictEqual(codeOf(yield* rpc(call, "SubscribeToTask", { id })), [-32004, "UNSUPPORTED_OPERATION"])
    }))

  it.effect("a question is listed, and its answer must fit", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const asked = yield* send(call, message("approve"))
      // Not the client of the SDK: it posts.
      const subscribed = yield* call(`/a2a/echo/tasks/${asked.id}:subscribe`)
      assert.strictEqual(subscribed.headers.get("content-type"), "text/event-stream")
      const { contextId, id: taskId } = asked
      assert.strictEqual(asked.status.state, "TASK_STATE_INPUT_REQUIRED")
      const { result } = yield* rpc(call, "ListTasks", { status: "TASK_STATE_INPUT_REQUIRED" })
      assert.deepStrictEqual(result?.tasks.map(({ id, status }) => [id, status.state]), [
        [taskId, "TASK_STATE_INPUT_REQUIRED"]
      ])
      const refusals = [
        message("perhaps", { taskId }),
        message("yes", { taskId, contextId: "other" }),
        message("", { taskId, parts: [{ data: { approved: "x" } }] }),
        message("", { taskId, parts: [{ data: { approved: true, toolCallId: "x" } }] })
      ]
      for (const refused of refusals) {
        assert.deepStrictEqual(codeOf(yield* rpc(call, "SendMessage", refused)), [-32602, "INVALID_PARAMS"])
      }
      const parts = [{ data: { approved: false, reason: "Too much.", toolCallId: "call/1" } }]
      const answered = yield* send(call, message("", { taskId, contextId, parts }))
      assert.strictEqual(answered.status.state, "TASK_STATE_COMPLETED")
      const updates = (yield* body(subscribed)).match(/"state":"\w+"/g)
      assert.deepStrictEqual(updates, ["\"state\":\"TASK_STATE_INPUT_REQUIRED\"", "\"state\":\"TASK_STATE_COMPLETED\""])
      assert.strictEqual((yield* json(yield* call("/tasks"))).items.length, 1)
    }))
})
