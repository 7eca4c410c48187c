/** The programs of the fault runs, at a server whose streams are all cut after some frames; and what they show of a face that is broken. */
import { assert, it } from "@effect/vitest"
import * as AiSdk from "@perennial/http/faces/ai-sdk/AiSdk"
import * as LangGraph from "@perennial/http/faces/langgraph/LangGraph"
import * as OpenAi from "@perennial/http/faces/openai/OpenAi"
import { Effect } from "effect"
import * as Proxy from "../faces/proxy.ts"
import { start } from "../faces/server.ts"
import { stored } from "../faces/shown.ts"
import * as Rest from "../support/rest.ts"
import { type Program, programs } from "./facePrograms.ts"
import { connect, kinds } from "./faceReaders.ts"
import type { FaceReading } from "./observed.ts"

/** The face loses all frames with this word. */
const without = (word: string, program: Program): Program => ({
  ...program,
  take: (frame) => frame.data.includes(word) ? undefined : program.take(frame)
})

/** Reads a new task over as many connections as it takes, or until something is wrong. */
const read = Effect.fnUntraced(
  function*(kind: typeof kinds[number], message: string, change: (program: Program) => Program = (same) => same) {
    const server = yield* start([AiSdk.face, OpenAi.face, LangGraph.face])
    const { address } = yield* Proxy.make(server.port, { cut: "hard", frames: () => 5 })
    const { body } = yield* Rest.post(`${server.address}/tasks`, { conversationId: "c1", message })
    const program = change(programs[kind]({ taskId: body.id, conversationId: "c1" }))
    const reading: FaceReading = { reader: kind, taskId: body.id, connections: 0, problems: [], shown: undefined }
    while (reading.shown === undefined && reading.problems.length === 0) {
      yield* Effect.ignore(connect(reading, program, address))
      reading.shown = program.shown()
    }
    const texts = (yield* stored(server.address, "c1")).filter(({ kind }) => kind === "text")
    return { ...reading, due: texts.map(({ value }) => value).join("") }
  }
)

for (const kind of kinds) {
  it.live(`${kind}: the text of the agent over many connections, once, and nothing that became void`, () =>
    Effect.gen(function*() {
      for (const message of ["look here", "stumble once"]) {
        const { connections, due, problems, shown } = yield* read(kind, message)
        assert.isAbove(connections, 3)
        assert.deepStrictEqual([shown, problems], [due, []])
      }
    }))

  it.live(`${kind}: frames that are lost after a resume are noticed`, () =>
    Effect.gen(function*() {
      const { due, problems, shown } = yield* read(kind, "tell me", (program) => without("garden", program))
      assert.isTrue(problems.length > 0 || shown !== due)
    }))
}
