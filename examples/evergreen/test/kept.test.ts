import { assert, describe, it } from "@effect/vitest"
import { joined, type Kept, since } from "../web/src/state/kept.ts"

interface Message {
  readonly id: string
}

const page = (from: number, to: number): Kept<Message> => ({
  messages: Array.from({ length: to - from }, (_, i) => ({ id: `m${from + i}` })),
  older: from === 0 ? undefined : `m${from}`
})

const ids = ({ messages }: Kept<Message>) => messages.map(({ id }) => id)

describe("the messages that the page of a conversation keeps", () => {
  it("are joined by the newest ones, and a message that is known stays the same object", () => {
    const known = page(0, 10)
    const now = joined(known, page(5, 12))
    assert.deepStrictEqual(now, page(0, 12))
    assert.isTrue(known.messages.every((one, i) => now.messages[i] === one))
  })

  it("do not get back what was dropped, although the newest ones have it", () => {
    const known = since(page(0, 10), "m7")
    const now = joined(known, page(3, 12))
    assert.deepStrictEqual(ids(now), ["m7", "m8", "m9", "m10", "m11"])
    assert.strictEqual(now.older, "m7")
    assert.isTrue(known.messages.every((one, i) => now.messages[i] === one))
  })

  it("are replaced by the newest ones where these do not continue them", () => {
    assert.deepStrictEqual(joined(page(0, 3), page(7, 12)), page(7, 12))
    assert.deepStrictEqual(joined({ messages: [], older: undefined }, page(7, 12)), page(7, 12))
  })
})
