/**
 * An agent without a model: a function that emits events. After a crash it continues where it was, because it does not repeat
 * work that its journal shows as finished.
 *
 *     npx -y pnpm@12.21.0 exec node examples/src/customAgent.ts
 */
import { Agents, make } from "@perennial/domain/Agent"
import { isTerminal } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as Usage from "@perennial/domain/Usage"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Console, Effect, Layer, Stream } from "effect"

const chapters = ["Seed", "Sapling", "Tree"]

const storyteller = make("storyteller", ({ journal }, emit) =>
  Effect.gen(function*() {
    const told = journal.filter(({ event }) => event.type === "data").length
    for (const chapter of chapters.slice(told)) {
      yield* Effect.sleep("300 millis")
      yield* emit([{ type: "data", name: "chapter", data: chapter }])
    }
    return { usage: Usage.zero }
  }))

const program = Effect.gen(function*() {
  const tasks = yield* TaskManager
  const task = yield* tasks.start({ message: "Tell me a story." })

  // The first reader stops after three events, and the task goes on. The second reader asks for the rest.
  const first = yield* tasks.events(task.id)
  yield* Stream.runForEach(Stream.take(first, 3), ({ event, seq }) => Console.log("first ", seq, event.type))
  const second = yield* tasks.events(task.id, { after: 3 })
  yield* Stream.runForEach(
    second,
    ({ event, seq }) => Console.log("second", seq, event.type, isTerminal(event) ? "(the end)" : "")
  )
})

await program.pipe(
  Effect.provide(TaskRuntime.layerMemory.pipe(Layer.provide(Agents.layer([storyteller])))),
  Effect.runPromise
)
