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
export const fill = (filename: string, messages: number, answer = piece) =>
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
            : { ...common, id: MessageId.make(`${taskId}/9`), message: assistant(answer(n)) }
        })
      )
    }
  }).pipe(Effect.provide(SqliteStore.layer({ filename })))

/** Opens the newest conversation of the list, and waits for its last question and its end. */
export const open = (page: Page, question: string) =>
  Browser.act(async () => {
    await page.locator(".conversations a").first().click()
    const asked = page.locator(".item[data-kind='user']", { hasText: question })
    await page.locator(".item[data-kind='end']:last-child").and(asked.locator("~ .item")).waitFor()
  })

/** What was seen in some frames: the largest number of nodes, and whether the first question is there now. */
export interface Seen {
  readonly nodes: number
  readonly isFirst: boolean
}

/** Scrolls up by so many pixels each frame, for so many frames, or until the first question is there. */
const up = (pixels: number, frames: number): string =>
  `new Promise((resolve) => {
  const messages = document.querySelector(".messages")
  let nodes = 0
  let frame = 0
  const step = () => {
    nodes = Math.max(nodes, document.getElementsByTagName("*").length)
    const isFirst = messages.scrollTop === 0
      && document.querySelector(".item .user p")?.textContent === "Question 0?"
    if (isFirst || frame++ === ${frames}) return resolve({ nodes, isFirst })
    messages.scrollTop -= ${pixels}
    requestAnimationFrame(step)
  }
  step()
})`

export const scrollUp = (page: Page, pixels: number, frames: number): Effect.Effect<Seen> =>
  Browser.act(() => page.evaluate<Seen>(up(pixels, frames)))

export interface Turn {
  readonly question: string
  readonly answer: string
}

/**
 * Scrolls up to the first question or down to the last one, and reads on the way. A turn must fit on the screen, from its question
 * to its end.
 */
const reading = (direction: "up" | "down", last: string): string =>
  `new Promise((resolve, reject) => {
  const messages = document.querySelector(".messages")
  const isUp = ${direction === "up"}
  const turns = []
  const seen = () => {
    const found = []
    for (const item of document.querySelectorAll(".item")) {
      const { kind } = item.dataset
      if (kind === "user") found.push({ question: item.querySelector(".said p").textContent, blocks: [], whole: false })
      else if (kind === "block") found.at(-1)?.blocks.push(item.innerText)
      else if (kind === "end" && found.length > 0) found.at(-1).whole = true
    }
    // The end of what is below the screen is not in the document.
    if (!isUp && found.at(-1)?.whole === false) found.pop()
    return isUp ? found.reverse() : found
  }
  const step = () => {
    const found = seen()
    const at = found.findIndex(({ question }) => question === turns.at(-1)?.question)
    const next = turns.length > 0 && at < 0 ? [] : found.slice(at + 1)
    const cut = next.find(({ whole }) => !whole)
    if (cut !== undefined) return reject(new Error("a question without its end: " + cut.question))
    turns.push(...next)
    if (turns.at(-1)?.question === ${JSON.stringify(last)}) {
      const read = turns.map(({ question, blocks }) => ({ question, answer: blocks.join("\\n\\n") }))
      return resolve(isUp ? read.reverse() : read)
    }
    // The list keeps its place when messages come above. Until it has, what was read is not there.
    if (at >= 0) messages.scrollTop += isUp ? -300 : 300
    requestAnimationFrame(step)
  }
  step()
})`

/** What a person reads who scrolls up to the first question: the oldest turn is the first. */
export const readUp = (page: Page, first: string): Effect.Effect<ReadonlyArray<Turn>> =>
  Browser.act(() => page.evaluate<ReadonlyArray<Turn>>(reading("up", first)))

/** What a person reads who scrolls down to the last question. */
export const readDown = (page: Page, last: string): Effect.Effect<ReadonlyArray<Turn>> =>
  Browser.act(() => page.evaluate<ReadonlyArray<Turn>>(reading("down", last)))
