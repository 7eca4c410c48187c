import { assert, describe, it } from "@effect/vitest"
import { zero } from "@perennial/domain/Usage"
import { Effect, Fiber } from "effect"
import { body, type Fields, json, makeCall, makeEcho, post, problem } from "./support.ts"

/** Decodes a frame, which has exactly two lines: `id` and `data`. */
const parse = (frame: string) => {
  const match = /^id: (\d+)\ndata: (.*)$/.exec(frame)
  const { at, ...event } = JSON.parse(match?.[2] ?? "null") as { readonly at: number }
  return { seq: Number(match?.[1]), at, event }
}

const tasks = Effect.fnUntraced(function*(call: (path: string) => Effect.Effect<Response>) {
  return (yield* json(yield* call("/tasks"))).items as ReadonlyArray<unknown>
})

describe("start", () => {
  it.effect("answers 201 with Location and the task", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const response = yield* call("/tasks", post({ message: "hello", conversationId: "c1", metadata: { a: 1 } }))
      const task = yield* json(response)
      assert.strictEqual(response.status, 201)
      assert.strictEqual(response.headers.get("location"), `/tasks/${task.id}`)
      assert.deepInclude(task, {
        conversationId: "c1",
        agentId: "echo",
        status: "queued",
        lastSeq: 1,
        metadata: { a: 1 }
      })
    }))

  it.effect("returns the same task for the same idempotency key, and refuses a different request with that key", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const key = { "idempotency-key": "k1" }
      const first = yield* json(yield* call("/tasks", post({ message: "hello", conversationId: "c1" }, key)))
      const again = yield* call("/tasks", post({ conversationId: "c1", message: "hello" }, key))
      assert.strictEqual(again.status, 201)
      assert.strictEqual((yield* json(again)).id, first.id)
      const other = yield* call("/tasks", post({ message: "other", conversationId: "c1" }, key))
      assert.strictEqual(other.status, 422)
      assert.strictEqual((yield* problem(other)).type, "urn:perennial:problem:idempotency-conflict")
    }))

  it.effect("P2: a busy conversation is answered 409 with the id of the active task", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const first = yield* json(yield* call("/tasks", post({ message: "hold", conversationId: "c1" })))
      const second = yield* call("/tasks", post({ message: "more", conversationId: "c1" }))
      assert.strictEqual(second.status, 409)
      assert.deepInclude(yield* problem(second), {
        type: "urn:perennial:problem:conversation-busy",
        activeTaskId: first.id
      })
      const third = yield* call("/tasks", post({ message: "more", conversationId: "c1", onBusy: "enqueue" }))
      assert.strictEqual(third.status, 201)
    }))

  it.effect("SCENARIO 30: of 50 concurrent starts one is accepted, and 49 are answered 409", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const statuses = yield* Effect.forEach(
        Array.from({ length: 50 }),
        () => Effect.map(call("/tasks", post({ message: "hold", conversationId: "c1" })), (_) => _.status),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(statuses.toSorted(), [201, ...Array.from({ length: 49 }, () => 409)])
    }))
})

describe("malformed requests", () => {
  const cases: ReadonlyArray<readonly [string, string, number, string]> = [
    ["malformed JSON", "{\"message\":", 400, "payload"],
    ["no message", "{}", 400, "payload.message"],
    ["a wrong type", "{\"message\":42}", 400, "payload.message"],
    ["an empty message", "{\"message\":\" \\n\"}", 400, "payload.message"],
    [
      "empty parts",
      "{\"message\":{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\" \"}]}}",
      400,
      "payload.message"
    ],
    ["an unknown policy", "{\"message\":\"a\",\"onBusy\":\"wait\"}", 400, "payload.onBusy"],
    ["an empty conversation id", "{\"message\":\"a\",\"conversationId\":\"\"}", 400, "payload.conversationId"],
    ["an id with U+0000", JSON.stringify({ message: "a", conversationId: "c\0" }), 400, "payload.conversationId"],
    ["half a surrogate pair", "{\"message\":\"a\",\"conversationId\":\"\\ud800\"}", 400, "payload.conversationId"],
    ["more text than allowed", JSON.stringify({ message: "x".repeat(256 * 1024 + 1) }), 400, "payload.message"],
    [
      "more bytes of text than allowed",
      JSON.stringify({ message: "é".repeat(128 * 1024 + 1) }),
      400,
      "payload.message"
    ],
    ["metadata that is no object", "{\"message\":\"a\",\"metadata\":[]}", 400, "payload.metadata"]
  ]
  it.effect("are answered 400 with the name of the field, and nothing is stored", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      for (const [name, content, status, field] of cases) {
        const response = yield* call("/tasks", { ...post({}), body: content })
        const { detail, errors, type } = yield* problem(response)
        assert.strictEqual(response.status, status, name)
        assert.strictEqual(type, "urn:perennial:problem:invalid-request", name)
        assert.strictEqual(errors[0]?.path.join("."), field, name)
        assert.isTrue(detail.startsWith(`${field}: `), `${name}: ${detail}`)
        assert.isBelow(detail.length, 300, name)
      }
      assert.deepStrictEqual(yield* tasks(call), [])
    }))

  it.effect("a body above the limit is answered 413, and a body of another type 415", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { maxBodySize: "1 KiB" } })
      const large = yield* call("/tasks", post({ message: "x".repeat(2000) }))
      assert.strictEqual(large.status, 413)
      assert.deepInclude(yield* problem(large), { type: "urn:perennial:problem:payload-too-large", limitBytes: 1024 })
      const form = yield* call("/tasks", { method: "POST", body: new URLSearchParams({ message: "a" }) })
      assert.strictEqual(form.status, 415)
      assert.strictEqual((yield* problem(form)).type, "urn:perennial:problem:unsupported-media-type")
      assert.deepStrictEqual(yield* tasks(call), [])
    }))

  it.effect("a message of the largest size is accepted", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      assert.strictEqual((yield* call("/tasks", post({ message: "é".repeat(128 * 1024) }))).status, 201)
    }))

  it.effect("the problem also names query parameters and headers", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const limit = yield* problem(yield* call("/tasks?limit=101"))
      assert.deepStrictEqual(limit.errors[0]?.path, ["query", "limit"])
      const status = yield* problem(yield* call("/tasks?status=running&status=odd"))
      assert.deepStrictEqual(status.errors[0]?.path, ["query", "status", 1])
      const cursor = yield* problem(yield* call("/tasks/t/events", { headers: { "last-event-id": "x" } }))
      assert.deepStrictEqual(cursor.errors[0]?.path, ["headers", "last-event-id"])
      const key = yield* problem(yield* call("/tasks", post({ message: "a" }, { "idempotency-key": "x".repeat(201) })))
      assert.deepStrictEqual(key.errors[0]?.path, ["headers", "idempotency-key"])
    }))
})

describe("events", () => {
  const started = Effect.fnUntraced(function*(message: string) {
    const call = yield* makeCall()
    const { id } = yield* json(yield* call("/tasks", post({ message, conversationId: "c1" })))
    return { call, id, path: `/tasks/${id}/events` }
  })

  it.effect("a stream is a comment, then a frame with `id` and `data` for each event, up to the terminal event", () =>
    Effect.gen(function*() {
      const { call, id, path } = yield* started("hello\nworld")
      const response = yield* call(path)
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
      assert.strictEqual(response.headers.get("cache-control"), "no-cache, no-transform")
      const frames = (yield* body(response)).split("\n\n")
      assert.strictEqual(frames[0], ": ok")
      const task = { taskId: id, conversationId: "c1" }
      const events = frames.slice(1, -1).map(parse)
      assert.deepStrictEqual(events.map(({ event, seq }) => ({ id: seq, event })), [
        { id: 1, event: { type: "ack", ...task, messageId: `${id}/1` } },
        { id: 2, event: { type: "started", ...task, attempt: 1 } },
        { id: 3, event: { type: "text", ...task, content: "hello\nworld" } },
        {
          id: 4,
          event: {
            type: "message",
            ...task,
            message: { role: "assistant", content: [{ type: "text", text: "done" }] },
            usage: zero
          }
        },
        { id: 5, event: { type: "done", ...task, usage: zero } }
      ])
      assert.strictEqual(frames.at(-1), "")
      // A frame says the same about its event as a page does.
      const page = yield* json(yield* call(path, { headers: { accept: "application/json" } }))
      assert.deepStrictEqual(events as ReadonlyArray<unknown>, page.events)
    }))

  it.effect("a stream for an EventSource begins with `retry`, so that it reconnects sooner than after 3 seconds", () =>
    Effect.gen(function*() {
      const { call, path } = yield* started("hello")
      const plain = yield* body(yield* call(path))
      const asked = yield* body(yield* call(path, { headers: { accept: "text/event-stream" } }))
      assert.strictEqual(asked, plain.replace(": ok\n\n", "retry: 1000\n\n"))
    }))

  it.effect("SCENARIO 3: a stream after any cursor has exactly the events after it", () =>
    Effect.gen(function*() {
      const { call, path } = yield* started("5x1")
      const whole = (yield* body(yield* call(path))).split("\n\n").slice(1)
      const last = whole.length - 1
      for (let after = 0; after < last; after++) {
        const rest = (yield* body(yield* call(`${path}?after=${after}`))).split("\n\n").slice(1)
        assert.deepStrictEqual(rest, whole.slice(after))
      }
    }))

  it.effect("Last-Event-ID takes precedence over the query", () =>
    Effect.gen(function*() {
      const { call, path } = yield* started("a b c")
      yield* body(yield* call(path))
      const rest = yield* body(yield* call(`${path}?after=1`, { headers: { "last-event-id": "5" } }))
      assert.isTrue(rest.startsWith(": ok\n\nid: 6\n"), rest)
    }))

  it.effect("an empty Last-Event-ID is ignored", () =>
    Effect.gen(function*() {
      const { call, path } = yield* started("a b c")
      yield* body(yield* call(path))
      const rest = yield* body(yield* call(`${path}?after=5`, { headers: { "last-event-id": "" } }))
      assert.isTrue(rest.startsWith(": ok\n\nid: 6\n"), rest)
    }))

  it.effect("SCENARIO 5: a cursor at the terminal event is answered 204", () =>
    Effect.gen(function*() {
      const { call, id, path } = yield* started("a")
      yield* body(yield* call(path))
      const task = yield* json(yield* call(`/tasks/${id}`))
      assert.strictEqual(task.status, "completed")
      const response = yield* call(path, { headers: { "last-event-id": String(task.lastSeq) } })
      assert.strictEqual(response.status, 204)
      assert.strictEqual(yield* body(response), "")
    }))

  it.effect("SCENARIO 10: a cursor beyond the log is answered 422 at once", () =>
    Effect.gen(function*() {
      const { call, path } = yield* started("hold")
      const response = yield* call(`${path}?after=1000`)
      assert.strictEqual(response.status, 422)
      assert.deepInclude(yield* problem(response), { type: "urn:perennial:problem:cursor-ahead", after: 1000 })
    }))

  it.effect("a JSON page is answered without waiting for further events", () =>
    Effect.gen(function*() {
      const { call, path } = yield* started("a b hold c")
      const accept = { headers: { accept: "application/json" } }
      const stream = yield* call(path)
      assert(stream.body !== null)
      const reader = stream.body.getReader()
      let seen = ""
      while (!seen.includes("\"b\"")) {
        seen += new TextDecoder().decode((yield* Effect.promise(() => reader.read())).value)
      }
      const page = yield* json(yield* call(`${path}?after=1&limit=2`, accept))
      assert.deepStrictEqual(page.events.map((stored) => [stored.seq, stored.event.type]), [[2, "started"], [
        3,
        "text"
      ]])
      assert.isNumber(page.events[0]?.at)
      assert.deepInclude(page, { lastSeq: 4, ended: false })
      const end = yield* json(yield* call(`${path}?after=4`, accept))
      assert.deepInclude(end, { events: [], lastSeq: 4, ended: false })
      yield* Effect.promise(() => reader.cancel())
    }))

  it.effect("`POST /chat` starts a task and streams its events in one response", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const response = yield* call("/chat", post({ message: "hello" }))
      assert.strictEqual(response.status, 200)
      const text = yield* body(response)
      const location = response.headers.get("location")
      assert.match(location ?? "", /^\/tasks\/[0-9a-f-]{36}$/)
      assert.isTrue(text.startsWith(": ok\n\nid: 1\ndata: {\"type\":\"ack\""), text)
      assert.include(text, "\"type\":\"done\"")
    }))
})

describe("cancel and decisions", () => {
  it.effect("SCENARIO 22: a disconnect does not cancel the task; a cancel does, and the task stays cancelled", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const { id } = yield* json(yield* call("/tasks", post({ message: "hold", conversationId: "c1" })))
      const stream = yield* call(`/tasks/${id}/events`)
      yield* Effect.promise(async () => stream.body?.cancel())
      assert.include(["queued", "running"], (yield* json(yield* call(`/tasks/${id}`))).status)
      const cancelled = yield* call(`/tasks/${id}/cancel`, post({ reason: "enough" }))
      assert.strictEqual(cancelled.status, 200)
      assert.strictEqual((yield* json(cancelled)).status, "cancelled")
      const again = yield* call(`/tasks/${id}/cancel`, { method: "POST" })
      assert.strictEqual(again.status, 200)
      assert.strictEqual((yield* json(again)).status, "cancelled")
      assert.include(yield* body(yield* call(`/tasks/${id}/events`)), "\"type\":\"cancelled\"")
    }))

  it.effect("the first decision counts", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const { id } = yield* json(yield* call("/tasks", post({ message: "approve" })))
      const events = yield* Effect.forkChild(Effect.flatMap(call(`/tasks/${id}/events`), body))
      const path = `/tasks/${id}/decisions/call%2F1`
      let response = yield* call(path, post({ approved: true }))
      while (response.status === 404) {
        yield* body(response)
        yield* Effect.yieldNow
        response = yield* call(path, post({ approved: true }))
      }
      assert.strictEqual(response.status, 204)
      const long = yield* call(path, post({ approved: true, args: "x".repeat(300_000) }))
      assert.strictEqual(long.status, 400)
      const { detail, errors } = yield* problem(long)
      assert.deepStrictEqual(errors?.map((error) => error.path), [["payload", "args"]])
      assert.strictEqual(detail, "payload.args: has 300002 characters of JSON: at most 65536 are accepted")
      const other = yield* call(path, post({ approved: false }))
      assert.strictEqual(other.status, 409)
      assert.deepInclude(yield* problem(other), { type: "urn:perennial:problem:already-decided", toolCallId: "call/1" })
      assert.include(yield* Fiber.join(events), "\"content\":\"approved\"")
    }))

  it.effect("P12: the events do not show the cause of a bug in an agent", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const { id } = yield* json(yield* call("/tasks", post({ message: "break" })))
      const events = yield* body(yield* call(`/tasks/${id}/events`))
      assert.include(events, "\"type\":\"error\"")
      assert.notInclude(events, "secret connection string")
    }))
})

describe("conversations", () => {
  it.effect("are listed, return their messages, and can be deleted when no task is active", () =>
    Effect.gen(function*() {
      const echo = makeEcho()
      const call = yield* makeCall({ echo })
      const { id } = yield* json(
        yield* call("/tasks", post({ message: "hold on", conversationId: "c/1", userMetadata: { n: 1 } }))
      )
      const busy = yield* call("/conversations/c%2F1", { method: "DELETE" })
      assert.strictEqual(busy.status, 409)
      assert.strictEqual((yield* problem(busy)).activeTaskId, id)
      yield* echo.gate.open
      yield* body(yield* call(`/tasks/${id}/events`))
      const list = yield* json(yield* call("/conversations"))
      assert.deepStrictEqual(list.items.map((_) => _.id), ["c/1"])
      assert.notProperty(list, "next")
      const page = yield* json(yield* call("/conversations/c%2F1/messages?limit=1"))
      assert.deepInclude(page.items[0] ?? {}, { id: `${id}/1`, metadata: { n: 1 }, status: "complete" })
      assert.strictEqual(page.next, `${id}/1`)
      const rest = yield* json(yield* call(`/conversations/c%2F1/messages?after=${encodeURIComponent(page.next)}`))
      assert.deepStrictEqual(rest.items.map((_) => _.message.role), ["assistant"])
      assert.strictEqual((yield* call("/conversations/c%2F1", { method: "DELETE" })).status, 204)
      const gone = yield* call("/conversations/c%2F1")
      assert.strictEqual(gone.status, 404)
      assert.strictEqual((yield* problem(gone)).conversationId, "c/1")
      assert.deepStrictEqual(yield* tasks(call), [])
    }))

  it.effect("are paged: the next page is right even if the conversation at the cursor was deleted", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const names = ["a/1", "b.2", "ü 3", "d"]
      for (const conversationId of names) {
        const { id } = yield* json(yield* call("/tasks", post({ message: "a", conversationId })))
        yield* body(yield* call(`/tasks/${id}/events`))
      }
      const idsOf = (page: Fields) => page.items.map(({ id }) => id)
      const all = idsOf(yield* json(yield* call("/conversations")))
      assert.sameMembers(all, names)
      for (let i = 1; i < all.length; i++) {
        const first = yield* json(yield* call(`/conversations?limit=${i}`))
        assert.deepStrictEqual(idsOf(first), all.slice(0, i))
        const rest = yield* json(yield* call(`/conversations?limit=9&before=${encodeURIComponent(first.next)}`))
        assert.deepStrictEqual(idsOf(rest), all.slice(i))
      }
      const [last = ""] = all
      const { next } = yield* json(yield* call("/conversations?limit=1"))
      yield* body(yield* call(`/conversations/${encodeURIComponent(last)}`, { method: "DELETE" }))
      const rest = yield* json(yield* call(`/conversations?before=${encodeURIComponent(next)}`))
      assert.deepStrictEqual(idsOf(rest), all.slice(1))
      for (const before of ["", "c1", "7", "x.c1", "-1.c1", "7."]) {
        const refused = yield* call(`/conversations?before=${before}`)
        assert.strictEqual(refused.status, 400, before)
        assert.deepStrictEqual((yield* problem(refused)).errors[0]?.path, ["query", "before"])
      }
    }))

  it.effect("tasks are paged, newest first", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const ids: Array<string> = []
      for (let i = 0; i < 5; i++) ids.unshift((yield* json(yield* call("/tasks", post({ message: "a" })))).id)
      const first = yield* json(yield* call("/tasks?limit=3"))
      assert.deepStrictEqual(first.items.map((_) => _.id), ids.slice(0, 3))
      const second = yield* json(yield* call(`/tasks?limit=3&before=${first.next}`))
      assert.deepStrictEqual(second.items.map((_) => _.id), ids.slice(3))
      assert.notProperty(second, "next")
      assert.deepStrictEqual((yield* json(yield* call("/tasks?status=cancelled&status=error"))).items, [])
    }))
})
