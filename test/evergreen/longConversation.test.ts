import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import * as Rest from "../support/rest.ts"
import * as Browser from "./browser.ts"
import { conversationId, fill, open, readDown, readUp, scrollUp, type Turn } from "./longConversation.ts"
import { started } from "./server.ts"

const paragraphs = (of: number | string): string => [1, 2, 3, 4].map((n) => `Paragraph ${n} of ${of}.`).join("\n\n")

/** The turns of the conversation as the server has them. */
const storedTurns = Effect.fnUntraced(function*(address: string) {
  const { body } = yield* Rest.get(`${address}/conversations/${conversationId}/messages?limit=1000`)
  const texts = body.items.map(({ message }: { message: { content: string | ReadonlyArray<{ text: string }> } }) =>
    typeof message.content === "string" ? message.content : message.content.map(({ text }) => text).join("")
  )
  return Array.from(
    { length: texts.length / 2 },
    (_, n): Turn => ({ question: texts[2 * n], answer: texts[2 * n + 1] })
  )
})

describe.skipIf(!Browser.isInstalled)("evergreen's web app", () => {
  it.live("P11: a person scrolls through a long conversation, and the document stays small", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const filename = `${yield* files.makeTempDirectoryScoped()}/perennial.db`
      yield* fill(filename, 400)
      const { address } = yield* started({ PERENNIAL_STORE: `sqlite:${filename}` })
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      yield* open(page, "Question 199?")
      const messages = page.locator(".messages")
      for (let isFirst = false; !isFirst;) {
        const seen = yield* scrollUp(page, 1_500, 100)
        assert.isBelow(seen.nodes, 300)
        isFirst = seen.isFirst
      }
      yield* Browser.act(() => page.getByRole("button", { name: "Newest" }).click())
      yield* Browser.act(() => messages.getByText("Question 199?").waitFor())
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("P11: a person reads all turns on the way up and down; what was dropped at the end is there again on the way up", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const directory = yield* files.makeTempDirectoryScoped()
      const settings = {
        PERENNIAL_STORE: `sqlite:${directory}/perennial.db`,
        PERENNIAL_SCRIPT: `${directory}/script.txt`
      }
      yield* fill(`${directory}/perennial.db`, 120, paragraphs)
      yield* files.writeFileString(settings.PERENNIAL_SCRIPT, paragraphs("what is new"))
      const { address } = yield* started(settings)
      const me = yield* Browser.visitor(yield* Browser.launch)
      const page = yield* me.open(address)
      yield* open(page, "Question 59?")
      const before = yield* storedTurns(address)
      assert.deepStrictEqual(yield* readUp(page, "Question 0?"), before)
      assert.deepStrictEqual(yield* readDown(page, "Question 59?"), before)
      for (const question of ["New 1?", "New 2?", "New 3?"]) {
        yield* Browser.ask(page, question)
        yield* Browser.act(async () => {
          const asked = page.locator(".item[data-kind='user']", { hasText: question })
          await page.locator(".item[data-kind='end']:last-child").and(asked.locator("~ .item")).waitFor()
        })
      }
      const after = yield* storedTurns(address)
      assert.strictEqual(after.length, before.length + 3)
      const reads: Array<string> = []
      page.on("request", (request) => {
        if (request.url().includes("order=newest")) reads.push(request.url())
      })
      assert.deepStrictEqual(yield* readUp(page, "Question 0?"), after)
      assert.isNotEmpty(reads, "what was dropped is read again")
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
