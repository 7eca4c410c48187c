import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { body, json, layerTokens, makeCall, problem } from "./support.ts"

describe("paths", () => {
  it.effect("an unknown path is answered 404, and a wrong method 405 with `Allow`", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const unknown = yield* call("/nothing?x=1")
      assert.strictEqual(unknown.status, 404)
      assert.deepInclude(yield* problem(unknown), { type: "urn:perennial:problem:route-not-found", path: "/nothing" })
      const wrong = yield* call("/tasks", { method: "PUT" })
      assert.strictEqual(wrong.status, 405)
      assert.strictEqual(wrong.headers.get("allow"), "GET, POST")
      assert.deepStrictEqual((yield* problem(wrong)).allow, ["GET", "POST"])
      const removal = yield* call("/tasks/t1", { method: "DELETE" })
      assert.strictEqual(removal.headers.get("allow"), "GET")
      yield* body(removal)
      assert.strictEqual((yield* call("/tasks/t1/status")).status, 404)
      assert.strictEqual((yield* call("/tasks", { method: "HEAD" })).status, 200)
    }))

  it.effect("an id of 200 characters is accepted, and a longer one is an invalid parameter", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const longest = `/tasks/${encodeURIComponent("é".repeat(200))}`
      assert.strictEqual((yield* problem(yield* call(longest))).type, "urn:perennial:problem:task-not-found")
      const wrong = yield* call(longest, { method: "PUT" })
      assert.strictEqual(wrong.status, 405)
      assert.deepStrictEqual((yield* problem(wrong)).allow, ["GET"])
      const longer = yield* problem(yield* call(`/tasks/${"x".repeat(201)}/events`))
      assert.strictEqual(longer.status, 400)
      assert.deepStrictEqual(longer.errors[0]?.path, ["params", "id"])
    }))

  it.effect("an id of more than 2,000 characters, and a path with a malformed encoding, is answered 400 and not repeated", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      for (const id of ["x".repeat(2_001), encodeURIComponent("é".repeat(3_000))]) {
        for (const path of [`/tasks/${id}`, `/tasks/${id}/events`, `/conversations/${id}/messages`]) {
          const answer = yield* problem(yield* call(path))
          assert.strictEqual(answer.status, 400)
          assert.strictEqual(answer.type, "urn:perennial:problem:invalid-request")
          assert.strictEqual(answer.errors[0]?.path[0], "params")
          assert.isBelow(JSON.stringify(answer).length, 500)
        }
        const wrong = yield* problem(yield* call(`/tasks/${id}`, { method: "PUT" }))
        assert.strictEqual(wrong.status, 405)
        assert.isBelow(wrong.detail.length, 300)
      }
      for (const path of ["/tasks/%ed%a0%80", "/tasks/%", "/conversations/%ff/messages", "/%c3"]) {
        const answer = yield* problem(yield* call(path))
        assert.deepStrictEqual([answer.status, answer.errors[0]?.path], [400, ["params"]], path)
      }
      const unknown = yield* problem(yield* call(`/${"x".repeat(5_000)}`))
      assert.strictEqual(unknown.status, 404)
      assert.isBelow(JSON.stringify(unknown).length, 800)
    }))

  it.effect("health, readiness, OpenAPI and docs are served", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ auth: layerTokens })
      assert.isTrue((yield* json(yield* call("/health"))).ok)
      assert.isTrue((yield* json(yield* call("/ready"))).ok)
      const api = yield* json(yield* call("/openapi.json"))
      assert.sameMembers(Object.keys(api.paths), [
        "/tasks",
        "/chat",
        "/tasks/counts",
        "/tasks/throughput",
        "/tasks/{id}",
        "/tasks/{id}/events",
        "/tasks/{id}/tree/events",
        "/tasks/{id}/cancel",
        "/tasks/{id}/decisions/{toolCallId}",
        "/conversations",
        "/conversations/{id}",
        "/conversations/{id}/events",
        "/conversations/{id}/messages",
        "/conversations/{id}/replaced",
        "/conversations/{id}/regenerate",
        "/approvals",
        "/feed",
        "/agents",
        "/me",
        "/sign-in",
        "/sign-out",
        "/tickets",
        "/webhooks",
        "/webhooks/{id}",
        "/webhooks/{id}/secret",
        "/webhooks/{id}/deliveries",
        "/users/me",
        "/users/me/export",
        "/operator/tasks",
        "/operator/tasks/counts",
        "/operator/throughput",
        "/operator/runners",
        "/operator/users/{userId}",
        "/operator/users/{userId}/export",
        "/operator/users/{userId}/tasks",
        "/operator/users/{userId}/tasks/{id}",
        "/operator/users/{userId}/tasks/{id}/cancel",
        "/health",
        "/ready"
      ])
      const docs = yield* call("/docs")
      assert.strictEqual(docs.headers.get("content-type"), "text/html")
      yield* body(docs)
    }))
})
