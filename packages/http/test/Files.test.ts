/** Messages with images and documents, over HTTP. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { body, json, makeCall, post } from "./support.ts"

const file = (fields: object) => ({ type: "file", mediaType: "image/png", data: "aGk=", ...fields })
const message = (...content: ReadonlyArray<object>) => ({ role: "user", content })
const mebibytes = (n: number) => "A".repeat(n * 1024 * 1024 / 3 * 4)

describe("files in a message", () => {
  it.effect("are stored with the message, like `userMetadata`", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const content = [
        { type: "text", text: "What is this?" },
        file({ name: "cat.png" }),
        { type: "file", mediaType: "application/pdf", url: "https://example.com/a.pdf" }
      ]
      const userMetadata = { attachments: [{ name: "cat.png", bytes: 2 }] }
      const start = { message: message(...content), conversationId: "c1", userMetadata }
      const task = yield* json(yield* call("/tasks", post(start)))
      yield* body(yield* call(`/tasks/${task.id}/events`))
      const { items } = yield* json(yield* call("/conversations/c1/messages"))
      assert.deepStrictEqual(items[0]?.message, message(...content))
      assert.deepStrictEqual(items[0]?.metadata, userMetadata)
    }))

  it.effect("do not need a text in the same message", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      assert.strictEqual((yield* call("/tasks", post({ message: message(file({})) }))).status, 201)
    }))

  it.effect("may have 5 MiB in total", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const start = post({ message: message(file({ data: mebibytes(3) }), file({ data: mebibytes(1.5) })) })
      assert.strictEqual((yield* call("/tasks", start)).status, 201)
    }))

  const refused: ReadonlyArray<readonly [string, object, string]> = [
    ["more than 5 MiB", message(file({ data: mebibytes(3) }), file({ data: mebibytes(2.25) })), "at most 5242880"],
    ["more than 10 files", message(...Array.from({ length: 11 }, () => file({}))), "at most 10"],
    ["data with line breaks", message(file({ data: "aGk=\n" })), "RFC 4648"],
    ["base64url", message(file({ data: "a-k_" })), "RFC 4648"],
    ["data without padding", message(file({ data: "aGk" })), "RFC 4648"],
    ["a data URL as data", message(file({ data: "data:image/png;base64,aGk=" })), "RFC 4648"],
    ["no data", message(file({ data: "" })), "RFC 4648"],
    ["a data URL", message({ ...file({ url: "data:image/png;base64,aGk=" }), data: undefined }), "http or https"],
    ["a local file", message({ ...file({ url: "file:///etc/passwd" }), data: undefined }), "http or https"],
    ["an invalid URL", message({ ...file({ url: "cat.png" }), data: undefined }), "http or https"],
    ["data and a URL", message(file({ url: "https://example.com/a.png" })), "either"],
    ["neither data nor a URL", message({ ...file({}), data: undefined }), "either"],
    ["an invalid media type", message(file({ mediaType: "png" })), "image/png"],
    ["a media type with parameters", message(file({ mediaType: "text/plain; charset=utf-8" })), "image/png"],
    ["a long name", message(file({ name: "x".repeat(256) })), "255"]
  ]

  it.effect("are refused with 400 and a reason, and nothing is stored", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      for (const [name, value, reason] of refused) {
        const response = yield* call("/tasks", post({ message: value }))
        const problem = yield* json(response)
        assert.strictEqual(response.status, 400, name)
        assert.strictEqual(problem.type, "urn:perennial:problem:invalid-request", name)
        assert.include(problem.detail, reason, name)
        assert.isBelow(problem.detail.length, 400, name)
      }
      assert.deepStrictEqual((yield* json(yield* call("/tasks"))).items, [])
    }))

  it.effect("P11: a page has at most 8 MiB of messages, and the next page continues after it", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      for (let i = 0; i < 3; i++) {
        const start = { message: message(file({ data: mebibytes(4.5) })), conversationId: "c1", onBusy: "enqueue" }
        const task = yield* json(yield* call("/tasks", post(start)))
        yield* body(yield* call(`/tasks/${task.id}/events`))
      }
      const first = yield* json(yield* call("/conversations/c1/messages"))
      // Each message is followed by its answer.
      assert.strictEqual(first.items.length, 3)
      const second = yield* json(yield* call(`/conversations/c1/messages?after=${encodeURIComponent(first.next)}`))
      assert.strictEqual(second.items.length, 3)
      assert.isUndefined(second.next)
    }))

  it.effect("metadata has at most 64 Ki characters", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      for (const field of ["metadata", "userMetadata"]) {
        const response = yield* call("/tasks", post({ message: "hi", [field]: { a: "x".repeat(64 * 1024) } }))
        assert.strictEqual(response.status, 400)
        assert.include((yield* json(response)).detail, `payload.${field}: `)
      }
    }))
})
