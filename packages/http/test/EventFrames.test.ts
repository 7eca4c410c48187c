import { assert, it } from "@effect/vitest"
import { ConversationId, TaskId } from "@perennial/domain/Ids"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Array, Effect } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { encode } from "../src/internal/eventFrames.ts"

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

it.live("P11: the encoded bytes of a page are not kept once for each cursor of a reader", () =>
  Effect.gen(function*() {
    const ids = { taskId: TaskId.make("t1"), conversationId: ConversationId.make("c1") }
    const page = Array.makeBy(256, (i): StoredEvent => ({
      seq: i + 1,
      at: 0,
      event: { type: "text", ...ids, content: "x".repeat(4_000) }
    }))
    let bytes = 0
    const encoded = page.map((first, from) => {
      const buffer = encode([first, ...page.slice(from + 1)])
      bytes += buffer.byteLength
      return new WeakRef(buffer)
    })
    assert.isAbove(bytes, 120 * 1024 * 1024)
    // A `WeakRef` keeps its target alive until the current turn of the event loop ends.
    yield* Effect.yieldNow
    collect()
    const kept = encoded.reduce((sum, buffer) => sum + (buffer.deref()?.byteLength ?? 0), 0)
    assert.isAbove(kept, 0)
    assert.isAtMost(kept, 8 * 1024 * 1024)
    assert.strictEqual(page.length, 256)
  }))
