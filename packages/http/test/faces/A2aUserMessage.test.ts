/** What the answers of people mean in A2A. */
import { assert, describe, it } from "@effect/vitest"
import type { Decision } from "@perennial/domain/Decision"
import type { Message } from "../../src/faces/a2a/A2aRequests.ts"
import { decisionsOf } from "../../src/faces/a2a/UserMessage.ts"

const waiting = [{ toolCallId: "c1" }, { toolCallId: "c2" }]

const decide = (...parts: Message["parts"]) => decisionsOf({ messageId: "m1", parts }, waiting)

const both = (decision: Decision) => waiting.map(({ toolCallId }) => ({ toolCallId, decision }))

describe("an answer to a question of A2A", () => {
  for (const text of ["yes", "Yes.", " OK ", "approve", "allowed!"]) {
    it(`"${text}" allows every call that waits`, () => {
      assert.deepStrictEqual(decide({ text }), both({ approved: true }))
    })
  }

  for (const text of ["no", "No.", "deny", "REJECTED"]) {
    it(`"${text}" denies every call that waits`, () => {
      assert.deepStrictEqual(decide({ text }), both({ approved: false }))
    })
  }

  it("what follows a no is its reason", () => {
    assert.deepStrictEqual(decide({ text: "No, too large" }), both({ approved: false, reason: "too large" }))
  })

  for (const text of ["", "perhaps", "yes, but not today", "note that", "not now", "okay then"]) {
    it(`"${text}" is no decision`, () => {
      assert.isUndefined(decide({ text }))
    })
  }

  it("data decides about one call, or about all", () => {
    assert.deepStrictEqual(decide({ data: { approved: true, args: [1], toolCallId: "c2" } }), [
      { toolCallId: "c2", decision: { approved: true, args: [1] } }
    ])
    assert.deepStrictEqual(
      decide({ data: { approved: true, toolCallId: "c1" } }, {
        data: { approved: false, reason: "x", toolCallId: "c2" }
      }),
      [
        { toolCallId: "c1", decision: { approved: true } },
        { toolCallId: "c2", decision: { approved: false, reason: "x" } }
      ]
    )
    assert.deepStrictEqual(decide({ data: { approved: false } }), both({ approved: false }))
    assert.isUndefined(decide({ data: { approve: true } }))
    assert.isUndefined(decide({ text: "yes" }, { url: "https://example.com" }))
  })
})
