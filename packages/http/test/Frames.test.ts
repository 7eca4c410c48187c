import { assert, it } from "@effect/vitest"
import { ConversationId, TaskId } from "@perennial/domain/Ids"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Array } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { frames } from "../src/internal/frames.ts"

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

const bufferBytes = () => {
  collect()
  return process.memoryUsage().arrayBuffers
}

it("P11: what is encoded for readers that begin at every event of a page is not kept for each of them", () => {
  const ids = { taskId: TaskId.make("t1"), conversationId: ConversationId.make("c1") }
  const page = Array.makeBy(256, (i): StoredEvent => ({
    seq: i + 1,
    at: 0,
    event: { type: "text", ...ids, content: "x".repeat(4_000) }
  }))
  const before = bufferBytes()
  let bytes = 0
  for (let from = 0; from < page.length; from++) {
    const [first = page[0], ...rest] = page.slice(from)
    bytes += frames([first, ...rest]).byteLength
  }
  assert.isAbove(bytes, 120 * 1024 * 1024)
  // Other tests of the process have buffers, too; none has what all of these would be.
  assert.isBelow(bufferBytes() - before, 64 * 1024 * 1024)
  assert.strictEqual(page.length, 256)
})
