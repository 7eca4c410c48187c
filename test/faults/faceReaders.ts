/** Readers through the faces of the servers. They lose their connections all the time, and go on at any process. */
import { Duration, Effect, Fiber, Option, Random } from "effect"
import { type Followed, type Frame, type Program, programs } from "./facePrograms.ts"
import type { FaceReading } from "./observed.ts"
import * as Page from "./page.ts"
import { addressOf, insist, someSlot } from "./requests.ts"
import { type Run, seeded } from "./run.ts"

export const kinds = ["AI SDK", "OpenAI", "LangGraph"] as const

const parse = (text: string): Frame | undefined => {
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(text)?.[1]
  const data = field("data")
  return data === undefined ? undefined : { id: field("id"), event: field("event"), data }
}

/** Reads one connection to its end, or as long as its reader has the patience. Resolves with the status. */
export const connect = (reading: FaceReading, program: Program, address: string) =>
  Effect.tryPromise(async (signal) => {
    const { headers, path } = program.request()
    const response = await fetch(`${address}${path}`, { signal, headers: { ...Page.ofProgram, ...headers } })
    reading.connections++
    if (response.status === 204) program.finish?.()
    if (response.status !== 200 || response.body === null) return response.status
    let rest = ""
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      // What comes after the reader has gone is for nobody.
      if (signal.aborted) break
      const frames = (rest + chunk).split("\n\n")
      rest = frames.pop() ?? ""
      for (const frame of frames.map(parse)) {
        const problem = frame === undefined ? undefined : program.take(frame)
        if (problem !== undefined) reading.problems.push(problem)
      }
    }
    return response.status
  })

/** Reads a task through a face, until the program is told that there is no more. */
export const follow = Effect.fnUntraced(function*(run: Run, taskId: string, kind: typeof kinds[number]) {
  const reading: FaceReading = { reader: kind, taskId, connections: 0, problems: [], shown: undefined }
  run.faceReadings.push(reading)
  const { body: { conversationId = "" } } = yield* insist(run, { method: "GET", path: `/tasks/${taskId}` })
  const followed: Followed = { taskId, conversationId }
  const program = programs[kind](followed)
  const fiber = yield* Effect.gen(function*() {
    while (reading.shown === undefined) {
      const patience = Duration.millis(yield* Random.nextIntBetween(200, 3_000))
      const status = yield* Effect.option(
        Effect.timeout(connect(reading, program, addressOf(yield* someSlot(run))), patience)
      )
      reading.shown = program.shown()
      if (Option.isSome(status) && status.value >= 400 && status.value < 500 && status.value !== 429) {
        reading.problems.push(`it got ${status.value} for ${program.request().path}`)
        return
      }
      yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(20, 120)))
    }
  }).pipe(seeded(run, `${kind} ${taskId}`), Effect.forkScoped)
  return { ended: Effect.asVoid(Fiber.await(fiber)) }
})
