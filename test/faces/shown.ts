/** What the store has of a conversation, as lines that a client's screen can be compared with, character by character. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import * as Rest from "../support/rest.ts"

interface Part {
  readonly type: string
  readonly text: string
  readonly toolCallId: string
  readonly tool: string
  readonly args: unknown
  readonly result: unknown
  readonly status: string
  readonly decision?: { readonly approved: boolean }
}

interface Item {
  readonly message: { readonly role: string; readonly content: ReadonlyArray<Part> }
}

export interface Line {
  readonly kind: "user" | "text" | "reasoning" | "call" | "result"
  readonly value: string
}

export const completed = (result: unknown): string => `completed ${JSON.stringify(result)}`

const linesOf = ({ message }: Item): ReadonlyArray<Line> =>
  message.content.map((part): Line => {
    switch (part.type) {
      case "tool_call":
        return { kind: "call", value: `${part.tool} ${JSON.stringify(part.args)}` }
      case "tool_result":
        return {
          kind: "result",
          value: part.status === "completed"
            ? completed(part.result)
            : part.decision?.approved === false
            ? "denied"
            : "error"
        }
      case "reasoning":
        return { kind: "reasoning", value: part.text }
      default:
        return { kind: message.role === "user" ? "user" : "text", value: part.text }
    }
  })

/** The stored messages, oldest first. */
export const stored = (address: string, conversationId: string): Effect.Effect<ReadonlyArray<Line>> =>
  Effect.map(
    Rest.get(`${address}/conversations/${encodeURIComponent(conversationId)}/messages`),
    ({ body }) => body.items.flatMap(linesOf)
  )

type Kind = Line["kind"]

const only = (lines: ReadonlyArray<Line>, kind: Kind) => lines.filter((line) => line.kind === kind)

/** The screen has what the store has. A client may show a result beside its call, and reasoning in a place of its own. */
export const assertWhole = Effect.fnUntraced(
  function*(screen: ReadonlyArray<Line>, address: string, conversationId: string, kinds: ReadonlyArray<Kind> = all) {
    const expected = yield* stored(address, conversationId)
    for (const kind of kinds) assert.deepEqual(only(screen, kind), only(expected, kind))
  }
)

export const all: ReadonlyArray<Kind> = ["user", "text", "reasoning", "call", "result"]
