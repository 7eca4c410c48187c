import { assert, describe, it } from "@effect/vitest"
import * as EventPayload from "@perennial/domain/EventPayload"
import { ConversationId, TaskId } from "@perennial/domain/Ids"
import * as TaskEvent from "@perennial/domain/TaskEvent"
import { Schema } from "effect"
import events from "./golden/events.json" with { type: "json" }
import payloads from "./golden/payloads.json" with { type: "json" }

const ids = { taskId: TaskId.make("t1"), conversationId: ConversationId.make("c1") }
const decode = Schema.decodeUnknownSync(Schema.toCodecJson(TaskEvent.TaskEvent))

describe("EventPayload: golden files, so that later versions read what is stored today", () => {
  it("payloads.json has the text of every event of events.json", () => {
    assert.strictEqual(payloads.length, events.length)
  })

  it.for(payloads.map((payload, i) => [i, payload] as const))(
    "the text %# decodes, and encodes back unchanged",
    ([i, payload]) => {
      const event = decode(events[i]?.event)
      assert.deepStrictEqual(EventPayload.decode(payload, ids), event)
      assert.strictEqual(EventPayload.encode(event), payload)
    }
  )

  it.for(events)("the text of event %# decodes also with ids, as earlier versions wrote it", ({ event }) => {
    assert.deepStrictEqual(EventPayload.decode(JSON.stringify(event), ids), decode(event))
  })
})

describe("EventPayload", () => {
  it("a text has no ids of its task and conversation; the decoded event has them", () => {
    const event: TaskEvent.TaskEvent = { type: "text", ...ids, content: "word" }
    const text = EventPayload.encode(event)
    assert.strictEqual(text, `{"type":"text","content":"word"}`)
    const decoded = EventPayload.decode(text, ids)
    // Readers get the same bytes as before the event was stored.
    assert.strictEqual(JSON.stringify(decoded), JSON.stringify(event))
  })

  it("fields that a newer version added to a known event are kept", () => {
    const decoded = EventPayload.decode(`{"type":"text","content":"word","mood":"glad"}`, ids)
    assert.deepStrictEqual(JSON.parse(JSON.stringify(decoded)), { type: "text", ...ids, content: "word", mood: "glad" })
    assert.strictEqual(EventPayload.encode(decoded), `{"type":"text","content":"word","mood":"glad"}`)
  })

  it("an event of an unknown type gets the ids of its log, too", () => {
    assert.deepStrictEqual(EventPayload.decode(`{"type":"hologram","depth":3}`, ids), {
      type: "unknown",
      raw: { type: "hologram", ...ids, depth: 3 }
    })
  })

  it("P3: a text that is not an event becomes an unreadable event", () => {
    for (const text of ["", "{", "null", "[]", "7", "{}", `{"type":"text"}`, `{"type":7}`]) {
      const event = EventPayload.decode(text, ids)
      assert.deepStrictEqual(event, { type: "unknown", raw: { type: "unreadable", ...ids } }, text)
      assert.isTrue(EventPayload.isUnreadable(event))
    }
  })

  it("parts of a message that this version does not know, and new fields of known parts, are kept", () => {
    const text = JSON.stringify({
      type: "message",
      message: {
        role: "assistant",
        content: [{ type: "text", text: "hi", mood: "glad" }, { type: "audio", data: "x", rate: 1 }],
        mood: "glad"
      },
      usage: {
        requests: 1,
        inputTokens: 0,
        cacheReadTokens: 0,
        cacheWriteTokens: 0,
        outputTokens: 0,
        reasoningTokens: 0
      }
    })
    const event = EventPayload.decode(text, ids)
    assert.strictEqual(event.type === "message" && event.message.content[1]?.type, "unknown")
    assert.strictEqual(EventPayload.encode(event), text)
  })
})
