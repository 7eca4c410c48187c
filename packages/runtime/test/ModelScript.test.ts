import { assert, describe, it } from "@effect/vitest"
import * as Message from "@perennial/domain/Message"
import { LlmAgent, ModelScript, ScriptedModel } from "@perennial/runtime"
import { Duration, Effect, Fiber, Layer, Result } from "effect"
import { adjust, brief, messagesOf, startAgent } from "./support/agentTask.ts"
import { Tools, toolsLayer } from "./support/agentToolkit.ts"

const turnsOf = (script: string) => Result.getOrThrow(ModelScript.parse(script))

const config = { agentId: "agent-1", systemPrompt: "Be brief.", tools: Tools }

describe("ModelScript", () => {
  it("parses text, instructions and comments", () => {
    assert.deepStrictEqual(
      turnsOf(`
# Two answers.

@pace 20 millis
@think A city, then.
One  line,
and another.

A paragraph.
@sleep 2 seconds
\\@not an instruction
\\# nor a comment
@tool weather {"city":"Oslo, \\"N\\""}
@tool whoami
---
@finish length
`),
      [
        [
          { drip: Duration.millis(20) },
          { thinking: ["A ", "city, ", "then."] },
          "One  ",
          "line,\n",
          "and ",
          "another.\n\n",
          "A ",
          "paragraph.",
          { sleep: Duration.seconds(2) },
          "\n",
          "@not ",
          "an ",
          "instruction\n",
          "# ",
          "nor ",
          "a ",
          "comment",
          { tool: "weather", params: { city: "Oslo, \"N\"" } },
          { tool: "whoami", params: {} }
        ],
        [{ finish: "length" }]
      ]
    )
  })

  const wrong: ReadonlyArray<readonly [string, string]> = [
    ["@toool x", "Line 1 of the script has an unknown instruction, @toool: use one of @think, "],
    ["hi\n@tool", "Line 2 of the script names no tool: write @tool <name> <JSON>."],
    ["@tool weather {city", "Line 1 of the script has arguments of weather that are not JSON."],
    ["---\n\n@sleep soon", "Line 3 of the script has no duration in \"soon\": write it like 2 seconds or 50 millis."],
    ["@fail boom", "Line 1 of the script has no reason to fail in \"boom\": use one of overloaded, rate-limited, "],
    ["@finish boom", "Line 1 of the script has no reason to finish in \"boom\": use one of stop, "]
  ]

  it.each(wrong)("an error names the problem and its line: %j", (script, message) => {
    const error = Result.getOrThrow(Result.flip(ModelScript.parse(script)))
    assert.include(error.message, message)
  })

  it.effect("an agent executes every kind of instruction", () =>
    Effect.gen(function*() {
      const turns = turnsOf(`
Half an
@fail rate-limited 3 seconds
---
@think hm
@tool weather {"city":"Oslo"}
---
@pace 1 second
It is 4.
@silence
---
It is 4.
`)
      const agent = yield* LlmAgent.make({ ...config, model: ScriptedModel.layer({ turns }) })
      const run = yield* startAgent(agent)
      yield* adjust("3 seconds")
      yield* adjust("10 minutes")
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(brief(run.log).filter((line) => !line.startsWith("text")), [
        "ack",
        "retry 2 ModelRateLimited",
        "reasoning hm",
        "message reasoning+tool_call",
        "tool_call weather {\"city\":\"Oslo\"}",
        "tool_result weather completed {\"degrees\":4}",
        "retry 2 ModelUnreachable",
        "message text"
      ])
    }).pipe(Effect.provide(toolsLayer)))

  it.effect("a layer begins the script anew for every conversation and after its end", () =>
    Effect.gen(function*() {
      const agent = yield* LlmAgent.make({ ...config, model: ModelScript.layer("one\n---\ntwo") })
      const answer = Effect.fnUntraced(function*(before: ReadonlyArray<Message.Message>) {
        const run = yield* startAgent(agent, { before })
        yield* Fiber.join(run.fiber)
        return [...before, Message.userText("hi"), ...messagesOf(run.log)]
      })
      const one = yield* answer([])
      const three = yield* answer(yield* answer(one))
      assert.deepStrictEqual(three.map(Message.text), ["hi", "one", "hi", "two", "hi", "one"])
      assert.deepStrictEqual(yield* answer([]), one)
    }).pipe(Effect.provide(toolsLayer)))

  it.effect("a layer with an invalid script is not built", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Layer.build(ModelScript.layer("@boom")))
      assert.strictEqual(error._tag, "ScriptError")
    }))
})
