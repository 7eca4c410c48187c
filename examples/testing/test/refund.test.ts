/**
 * A test of an application. The model follows a script, and the clock of the test lets ten minutes pass without real time.
 *
 *     npx -y pnpm@12.21.0 exec vitest run examples/testing
 */
import { assert, it } from "@effect/vitest"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as Testing from "@perennial/runtime/Testing"
import { Effect, Layer, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"

const Refund = Tool.make("refund", {
  parameters: Schema.Struct({ order: Schema.Int }),
  success: Schema.String,
  needsApproval: true
})
const tools = Toolkit.make(Refund)

const live = Testing.layer({
  tools,
  approval: { timeout: "10 minutes" },
  turns: [[{ tool: "refund", params: { order: 7 } }], ["Nobody approved the refund."]]
}).pipe(Layer.provide(tools.toLayer({ refund: () => Effect.die("The money is gone.") })))

it.effect("a refund without an approval is denied after ten minutes, and the model gets the reason", () =>
  Effect.gen(function*() {
    const tasks = yield* TaskManager
    const { id } = yield* tasks.start({ message: "Refund order 7." })
    yield* Testing.adjust("10 minutes")
    assert.deepStrictEqual(Testing.brief(yield* Testing.collect(id)).slice(3), [
      "tool_approval refund asked",
      "tool_approval refund false",
      "tool_result refund error {\"type\":\"denied\",\"reason\":\"Nobody allowed the call within 10m.\"}",
      "text Nobody approved the refund.",
      "message text",
      "done"
    ])
  }).pipe(Effect.provide(live)))
