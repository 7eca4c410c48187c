/** Images and documents in a user's message, from the start of a task to the request to the model. */
import { assert, describe, it } from "@effect/vitest"
import { ConversationId } from "@perennial/domain/Ids"
import { type FilePart, type UserMessage, userText } from "@perennial/domain/Message"
import { TaskManager } from "@perennial/domain/TaskManager"
import { History, LlmAgent } from "@perennial/runtime"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as Fake from "@perennial/runtime/FakeAnthropic"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Layer, Redacted } from "effect"

const { FakeAnthropic } = Fake

const agents = Layer.unwrap(Effect.map(FakeAnthropic, ({ url }) =>
  LlmAgent.layer({
    agentId: "agent-1",
    systemPrompt: "Be brief.",
    model: AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: url })
  })))

const env = TaskRuntime.layerMemory.pipe(Layer.provide(agents), Layer.provideMerge(FakeAnthropic.layer))

const file = (mediaType: string, fields: Partial<FilePart>): FilePart => ({ type: "file", mediaType, ...fields })
const message = (...files: ReadonlyArray<FilePart>): UserMessage => ({
  role: "user",
  content: [{ type: "text", text: "What is this?" }, ...files]
})

describe("files in a message", () => {
  it.live("reach the model in a form that the API accepts, and stay in the conversation", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ actions: [{ text: ["A cat."] }] }, { actions: [{ text: ["Still."] }] })
      const manager = yield* TaskManager
      const conversationId = ConversationId.make("c1")
      const files = message(
        file("image/png", {
          data: "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
          name: "cat.png"
        }),
        file("image/webp", { url: "https://example.com/cat.webp" }),
        file("application/pdf", { data: "JVBERi0xLjQKJSVFT0Y=", name: "cat.pdf" }),
        file("text/csv", { data: "bmFtZSxhZ2U=", name: "cats.csv" }),
        file("audio/mpeg", { data: "SUQz", name: "purr.mp3" })
      )
      const first = yield* manager.await((yield* manager.start({ conversationId, message: files })).id)
      const second = yield* manager.await((yield* manager.start({ conversationId, message: "And now?" })).id)
      assert.deepStrictEqual([first.task.status, second.task.status], ["completed", "completed"])
      const requests = yield* fake.requests
      assert.deepStrictEqual(requests[0]?.body.messages[0]?.content, [
        { type: "text", text: "What is this?" },
        {
          type: "image",
          source: {
            type: "base64",
            media_type: "image/png",
            data: "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
          }
        },
        { type: "image", source: { type: "url", url: "https://example.com/cat.webp" } },
        {
          type: "document",
          title: "cat.pdf",
          source: { type: "base64", media_type: "application/pdf", data: "JVBERi0xLjQKJSVFT0Y=" }
        },
        { type: "document", title: "cats.csv", source: { type: "text", media_type: "text/plain", data: "name,age" } },
        { type: "text", text: "[A file of type audio/mpeg, which the model cannot read: purr.mp3]" }
      ])
      assert.deepStrictEqual(requests[1]?.body.messages[0], requests[0]?.body.messages[0])
    }).pipe(Effect.provide(env)))

  it.live("are refused with a reason before anything is stored", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const start = (file: FilePart) => Effect.flip(manager.start({ message: message(file) }))
      const errors = yield* Effect.forEach([
        file("image/png", { data: "A".repeat(7 * 1024 * 1024) }),
        file("image/png", { data: "not base64" }),
        file("image/png", { url: "ftp://example.com/cat.png" })
      ], start)
      assert.deepStrictEqual(errors.map((error) => error.message), [
        "`message` has files of 5505024 bytes together: at most 5242880 are accepted; give larger ones by their `url`.",
        "`message` has a file (number 1) whose `data` is not base64 as in RFC 4648, section 4: without line breaks, with padding, not empty.",
        "`message` has a file (number 1) whose `url` cannot be fetched: use http or https, and at most 2048 characters."
      ])
      assert.deepStrictEqual(yield* manager.list(), [])
    }).pipe(Effect.provide(env)))

  it("are counted in tokens of the model, not in bytes: an image does not push old messages out of the prompt", () => {
    const megabyte = "A".repeat(1024 * 1024)
    const tokens = (file: FilePart) => History.estimateTokens([{ role: "user", content: [file] }])
    assert.isBelow(tokens(file("image/png", { data: megabyte })), 2_000)
    assert.isBelow(tokens(file("application/pdf", { url: "https://example.com/a.pdf" })), 2_000)
    assert.approximately(tokens(file("application/pdf", { data: megabyte })), 31_000, 1_000)
    assert.approximately(tokens(file("text/plain", { data: megabyte })), 262_000, 1_000)
    const history = [userText("x".repeat(4_000)), ...Array.from({ length: 4 }, () => userText("hi"))]
    const withImage = [message(file("image/png", { data: megabyte })), ...history]
    assert.deepStrictEqual(History.fit(withImage, { maxTokens: 10_000 }), withImage)
  })
})
