import { assert, describe, it } from "@effect/vitest"
import * as Conversation from "@perennial/domain/Conversation"
import * as EventPayload from "@perennial/domain/EventPayload"
import * as Task from "@perennial/domain/Task"
import * as TaskEvent from "@perennial/domain/TaskEvent"
import { Schema } from "effect"
import events from "./golden/events.json" with { type: "json" }
import messages from "./golden/messages.json" with { type: "json" }
import records from "./golden/records.json" with { type: "json" }

const roundTrip = <S extends Schema.Codec<unknown, unknown>>(schema: S, stored: unknown): unknown => {
  const codec = Schema.toCodecJson(schema)
  return Schema.encodeUnknownSync(codec)(Schema.decodeUnknownSync(codec)(stored))
}

const decode = Schema.decodeUnknownSync(Schema.toCodecJson(TaskEvent.TaskEvent))

describe("golden files: later versions decode what is stored today", () => {
  it.for(events)("the stored event %# decodes and encodes back unchanged", (stored) => {
    assert.deepStrictEqual(roundTrip(TaskEvent.StoredEvent, stored), stored)
  })

  it("there is an example of every event type", () => {
    const inFile = new Set(events.map(({ event }) => decode(event).type))
    const known = TaskEvent.Known.members.map((member) => member.fields.type.literal)
    assert.deepStrictEqual([...inFile].toSorted(), [...known, "unknown"].toSorted())
  })

  it.for(messages)("the stored message %# decodes and encodes back unchanged", (stored) => {
    assert.deepStrictEqual(roundTrip(Conversation.StoredMessage, stored), stored)
  })

  it("there is an example of every role and of every kind of part", () => {
    const kinds = new Set(
      messages.flatMap(({ message }) => message.content.map((part) => `${message.role} ${part.type}`))
    )
    assert.deepStrictEqual([...kinds].toSorted(), [
      "assistant provider_tool_call",
      "assistant provider_tool_result",
      "assistant reasoning",
      "assistant text",
      "assistant tool_call",
      "tool tool_result",
      "user file",
      "user hologram",
      "user text"
    ])
  })

  it("tasks and conversations decode and encode back unchanged", () => {
    assert.deepStrictEqual(roundTrip(Schema.Array(Task.Task), records.tasks), records.tasks)
    assert.deepStrictEqual(
      roundTrip(Schema.Array(Conversation.Conversation), records.conversations),
      records.conversations
    )
  })
})

describe("TaskEvent: processes of different versions share a log", () => {
  it("an event of an unknown type decodes and encodes back unchanged", () => {
    const raw = { type: "hologram", taskId: "t1", depth: 3, frames: [{ z: 1 }, null] }
    const event = decode(raw)
    assert.deepStrictEqual(event, { type: "unknown", raw })
    assert.deepStrictEqual(Schema.encodeSync(Schema.toCodecJson(TaskEvent.TaskEvent))(event), raw)
  })

  it("an unknown field of a known event is ignored", () => {
    const event = decode({ type: "text", taskId: "t1", conversationId: "c1", content: "hi", language: "en" })
    assert.deepStrictEqual(event, decode({ type: "text", taskId: "t1", conversationId: "c1", content: "hi" }))
  })

  it("an event of a known type with a missing field is refused, and not decoded as `unknown`", () => {
    assert.throws(() => decode({ type: "text", taskId: "t1", conversationId: "c1" }))
    assert.throws(() => decode({ content: "no type" }))
  })

  it("P4: only done, error and cancelled are terminal, each with its own status", () => {
    const terminal = events.map(({ event }) => decode(event)).filter(TaskEvent.isTerminal)
    assert.deepStrictEqual(new Set(terminal.map(({ type }) => type)), new Set(["done", "error", "cancelled"]))
    assert.deepStrictEqual(
      new Set(terminal.map(TaskEvent.terminalStatus)),
      new Set(["completed", "error", "cancelled"])
    )
  })

  it("recovery can continue after ack, started, message and tool_result", () => {
    const boundaries = new Set(
      events.map(({ event }) => decode(event)).filter(TaskEvent.isBoundary).map(({ type }) => type)
    )
    assert.deepStrictEqual(boundaries, new Set(["ack", "started", "message", "tool_result"]))
  })

  it("`size` of an event is close to the length of its JSON", () => {
    for (const stored of events) {
      const event = decode(stored.event)
      const json = Buffer.byteLength(JSON.stringify(stored.event))
      assert.isAtLeast(EventPayload.size(event), json - 64)
      assert.isAtMost(EventPayload.size(event), json + 120)
    }
  })
})
