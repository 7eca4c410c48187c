import { assert, describe, it } from "@effect/vitest"
import { messageId, TaskId } from "@perennial/domain/Ids"
import * as TaskSpec from "@perennial/domain/TaskSpec"
import { Option } from "effect"
import specs from "./golden/specs.json" with { type: "json" }

const whole: Required<TaskSpec.TaskSpec> = {
  metadata: { plan: "pro" },
  replaces: messageId(TaskId.make("t0"), 1),
  preview: "Hello Ada",
  userMetadata: { page: 1 },
  logContext: { requestId: "r" },
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  parent: { taskId: TaskId.make("t0"), toolCallId: "call", seq: 4 },
  deadline: 1_000,
  maxTotalTokens: 100
}

describe("TaskSpec", () => {
  it.for(specs)("golden: the stored spec %# decodes and encodes back unchanged", (text) => {
    assert.strictEqual(TaskSpec.encode(Option.getOrThrow(TaskSpec.decode(text))), text)
  })

  it("is made of the options of a start; absent options and other fields are left out", () => {
    const options = { ...whole, metadata: undefined, message: "hello", agentId: "agent" }
    const { metadata: _, ...rest } = whole
    assert.deepStrictEqual(TaskSpec.fromStart(options), rest)
    assert.deepStrictEqual(TaskSpec.fromStart({}), {})
  })

  it("retention keeps the fields that a task shows, and fields that a newer version wrote", () => {
    const { metadata, parent, preview, replaces } = whole
    const shown = { metadata, replaces, preview, parent }
    assert.deepStrictEqual(TaskSpec.withoutOwnerFields(whole), shown)
    assert.deepStrictEqual(TaskSpec.toShown(whole), shown)
    const newer = JSON.stringify({ ...whole, priority: 3 })
    assert.deepStrictEqual(JSON.parse(TaskSpec.pruneText(newer)), { ...shown, priority: 3 })
    assert.strictEqual(TaskSpec.pruneText("{}"), "{}")
  })

  it("a text that is not a spec hides nothing of its task, and does not stop retention", () => {
    for (const text of ["", "[]", "null", `{"metadata":7}`]) {
      assert.isTrue(Option.isNone(TaskSpec.decode(text)))
      assert.deepStrictEqual(TaskSpec.decodeShown(text), {})
    }
    for (const text of ["", "[]", "null"]) assert.strictEqual(TaskSpec.pruneText(text), "{}")
  })

  it("readers ignore fields of a newer version", () => {
    assert.deepStrictEqual(TaskSpec.decode(`{"metadata":{},"priority":3}`), Option.some({ metadata: {} }))
  })
})
