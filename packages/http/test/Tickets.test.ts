/** Tickets open event streams of one user for minutes, and nothing else. */
import { assert, describe, it, layer } from "@effect/vitest"
import { TaskId, UserId } from "@perennial/domain/Ids"
import * as Tickets from "@perennial/http/Tickets"
import { Clock, Effect, Layer, Option, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { body, json, layerTokens, makeCall, post, problem } from "./support.ts"

const as = (user: string) => ({ authorization: `Bearer ${user}-secret` })
const alice = { userId: UserId.make("alice") }

layer(Tickets.layer())("a ticket", (it) => {
  it.effect("is valid for five minutes, and names its user and the end of the credential", () =>
    Effect.gen(function*() {
      const { issue, verify } = yield* Tickets.Tickets
      const { ticket } = yield* issue({ ...alice, expiresAt: 500_000 })
      assert.deepStrictEqual(Option.getOrThrow(yield* verify(ticket)), { ...alice, expiresAt: 500_000 })
      yield* TestClock.adjust("299 seconds")
      assert.isTrue(Option.isSome(yield* verify(ticket)))
      yield* TestClock.adjust("1 second")
      assert.isTrue(Option.isNone(yield* verify(ticket)))
    }))

  it.effect("for a task is valid for that task alone", () =>
    Effect.gen(function*() {
      const { issue, verify } = yield* Tickets.Tickets
      const { ticket } = yield* issue(alice, { taskId: TaskId.make("t1") })
      assert.isTrue(Option.isSome(yield* verify(ticket, { taskId: "t1" })))
      assert.isTrue(Option.isNone(yield* verify(ticket, { taskId: "t2" })))
      assert.isTrue(Option.isNone(yield* verify(ticket)))
    }))

  it.effect("that was changed, or that another secret has signed, is not valid", () =>
    Effect.gen(function*() {
      const { issue, verify } = yield* Tickets.Tickets
      const { ticket } = yield* issue(alice)
      const [content = "", tag = ""] = ticket.split(".")
      const forged = btoa(JSON.stringify({ userId: "bob", until: Number.MAX_SAFE_INTEGER })).replace(/=+$/, "")
      for (
        const wrong of ["", ".", "a.b", content, `${content}.`, `${forged}.${tag}`, `${content}.${tag}A`, `.${tag}`]
      ) {
        assert.isTrue(Option.isNone(yield* verify(wrong)), wrong)
      }
    }))
})

// With a clock of its own.
it.effect("P12: a ticket ends with the credential that it was made for", () =>
  Effect.gen(function*() {
    const { issue, verify } = yield* Tickets.Tickets
    const end = (yield* Clock.currentTimeMillis) + 5_500
    const { expiresAt, ticket } = yield* issue({ ...alice, expiresAt: end })
    assert.strictEqual(expiresAt, end)
    yield* TestClock.adjust("5 seconds")
    assert.isTrue(Option.isSome(yield* verify(ticket)))
    yield* TestClock.adjust("1 second")
    assert.isTrue(Option.isNone(yield* verify(ticket)))
  }).pipe(Effect.provide(Layer.fresh(Tickets.layer()))))

describe("processes with the same secret", () => {
  it.effect("accept the tickets of each other", () =>
    Effect.gen(function*() {
      const build = (secret: string) =>
        Effect.provide(Tickets.Tickets, Layer.fresh(Tickets.layer({ secret: Redacted.make(secret) })))
      const { ticket } = yield* (yield* build("one secret")).issue(alice)
      assert.isTrue(Option.isSome(yield* (yield* build("one secret")).verify(ticket)))
      assert.isTrue(Option.isNone(yield* (yield* build("another secret")).verify(ticket)))
    }))
})

describe("over HTTP", () => {
  it.effect("P12: a ticket opens the streams of its user, and no other endpoint", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      const { conversationId, id } = yield* json(yield* call("/tasks", post({ message: "a" }, as("alice"))))
      const other = yield* json(yield* call("/tasks", post({ message: "b" }, as("bob"))))
      const created = yield* call("/tickets", { method: "POST", headers: as("alice") })
      assert.strictEqual(created.status, 201)
      const { ticket } = yield* json(created)
      const open = (path: string, init?: RequestInit) =>
        Effect.flatMap(call(`${path}?ticket=${ticket}`, init), (response) => Effect.as(body(response), response.status))
      assert.strictEqual(yield* open(`/tasks/${id}/events`), 200)
      assert.strictEqual(yield* open(`/tasks/${other.id}/events`), 404)
      for (const path of ["/tasks", `/tasks/${id}`, "/conversations", `/conversations/${conversationId}/messages`]) {
        assert.strictEqual(yield* open(path), 401, path)
      }
      assert.strictEqual(yield* open(`/tasks/${id}/cancel`, { method: "POST" }), 401)
      assert.strictEqual(yield* open("/tickets", { method: "POST" }), 401)
    }))

  it.effect("P12: nobody gets a ticket for a task of another user, and nobody without a token gets one", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      const { id } = yield* json(yield* call("/tasks", post({ message: "a" }, as("alice"))))
      const foreign = yield* call("/tickets", post({ taskId: id }, as("bob")))
      assert.strictEqual((yield* problem(foreign)).type, "urn:perennial:problem:task-not-found")
      assert.strictEqual((yield* problem(yield* call("/tickets", { method: "POST" }))).status, 401)
      const { ticket } = yield* json(yield* call("/tickets", post({ taskId: id }, as("alice"))))
      const second = yield* json(yield* call("/tasks", post({ message: "a" }, as("alice"))))
      for (const [task, status] of [[id, 200], [second.id, 401]] as const) {
        const response = yield* call(`/tasks/${task}/events?ticket=${ticket}`)
        yield* body(response)
        assert.strictEqual(response.status, status)
      }
      assert.strictEqual((yield* problem(yield* call(`/tasks/%ed%a0%80/events?ticket=${ticket}`))).status, 400)
    }))
})
