/**
 * A long conversation, and a person who scrolls through all of it.
 */
import * as SqliteStore from "@perennial/backends/SqliteStore"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, MessageId, TaskId, UserId } from "@perennial/domain/Ids"
import * as Message from "@perennial/domain/Message"
import { DateTime, Effect } from "effect"
import type { Page } from "playwright-core"
import * as Browser from "./browser.ts"

const words = (n: number, count: number): string =>
  Array.from({ length: count }, (_, i) => (i % 17 === 0 ? `**word${n + i}**` : `word${n + i}`)).join(" ")

/** What models write: paragraphs, a list, a table and code. */
export const piece = (n: number): string =>
  [
    `## Part ${n}`,
    words(n, 60),
    `- ${words(n, 20)}\n- the second\n- the third`,
    `| what | how many |\n| --- | ---: |\n| words | ${n} |`,
    `\`\`\`ts\nconst part = ${n} // a line of code\nconsole.log(part)\n\`\`\``,
    words(n + 7, 60)
  ].join("\n\n")

export const conversationId = ConversationId.make("long")

const assistant = (text: string): Message.AssistantMessage => ({ role: "assistant", content: [{ type: "text", text }] })

/** Stores a conversation of so many messages, half of them questions, before a server has the file. */
export const fill = (filename: string, messages: number) =>
  Effect.gen(function*() {
    const store = yield* ConversationStore
    const createdAt = yield* DateTime.now
    yield* store.create({ id: conversationId, userId: UserId.make("local") })
    for (let from = 0; from < messages; from += 1_000) {
      yield* store.append(
        conversationId,
        Array.from({ length: Math.min(1_000, messages - from) }, (_, i) => {
          const n = Math.floor((from + i) / 2)
          const taskId = TaskId.make(`task-${n}`)
          const common = { taskId, createdAt, status: "complete" } as const
          return (from + i) % 2 === 0
            ? { ...common, id: MessageId.make(`${taskId}/1`), message: Message.userText(`Question ${n}?`) }
            : { ...common, id: MessageId.make(`${taskId}/9`), message: assistant(piece(n)) }
        })
      )
    }
  }).pipe(Effect.provide(SqliteStore.layer({ filename })))

/** Opens the newest conversation of the list, and waits for its end. */
export const open = (page: Page) =>
  Browser.act(async () => {
    await page.locator(".conversations a").first().click()
    await page.locator("[data-kind='end']").last().waitFor()
  })

/** Scrolls up by some lines each frame, until the first question is there. Returns the largest number of nodes on the way. */
const up = `new Promise((resolve) => {
  const messages = document.querySelector(".messages")
  let most = 0
  const step = () => {
    most = Math.max(most, document.getElementsByTagName("*").length)
    const isFirst = messages.scrollTop === 0
      && document.querySelector(".item .user p")?.textContent === "Question 0?"
    if (isFirst) return resolve(most)
    messages.scrollTop -= 1_500
    requestAnimationFrame(step)
  }
  step()
})`

export const scrollUp = (page: Page): Effect.Effect<number> => Browser.act(() => page.evaluate<number>(up))
