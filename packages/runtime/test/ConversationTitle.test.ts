import { assert, describe, it } from "@effect/vitest"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, UserId } from "@perennial/domain/Ids"
import { userText } from "@perennial/domain/Message"
import { TaskManager } from "@perennial/domain/TaskManager"
import { ConversationTitle, LlmAgent, ScriptedModel } from "@perennial/runtime"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Deferred, Effect, Fiber, Layer, Option, Stream } from "effect"
import { AiError } from "effect/ai"
import { adjust, settle } from "./support/agentTask.ts"
import { shared, startProcess } from "./support/processes.ts"

const { Script } = ScriptedModel
const id = ConversationId.make("c1")
const key = { id, userId: UserId.make("local") }

/** A runtime with an agent that uses this `titles` option. */
const withTitles = (titles: ConversationTitle.TitleMaker, ...turns: ReadonlyArray<ScriptedModel.Turn>) =>
  TaskRuntime.layerMemory.pipe(
    Layer.provide(
      LlmAgent.layer({ agentId: "a", systemPrompt: "", titles, model: ScriptedModel.layer({ turns }) })
    )
  )

const start = Effect.flatMap(
  TaskManager,
  (manager) => manager.start({ message: "What is the weather in Oslo?", conversationId: id })
)

const typesOf = Effect.fnUntraced(function*(taskId: Effect.Success<typeof start>["id"]) {
  const manager = yield* TaskManager
  return (yield* Stream.runCollect(yield* manager.events(taskId))).map(({ event }) => event.type)
})

const stored = Effect.flatMap(ConversationStore, (store) => Effect.map(store.get(key), ({ title }) => title))

describe("titles of conversations", () => {
  it.effect("a title that is ready before the end of the task is written as an event and stored", () =>
    Effect.gen(function*() {
      const task = yield* start
      const types = yield* typesOf(task.id)
      assert.strictEqual(types.filter((type) => type === "title").length, 1)
      assert.strictEqual(types.at(-1), "done")
      assert.strictEqual(yield* stored, "Weather")
      // The conversation already has a title.
      assert.notInclude(yield* typesOf((yield* start).id), "title")
    }).pipe(Effect.provide(withTitles(() => Effect.succeedSome(" Weather "), ["ok"], ["ok"]))))

  it.effect("the beginning of the first message is a title that asks no model: one line of at most 60 characters", () =>
    Effect.gen(function*() {
      const titleOf = (text: string) => ConversationTitle.fromFirstMessage([userText(text), userText("Another one")])
      assert.deepStrictEqual(yield* titleOf("  Dear\n\n Ada "), Option.some("Dear Ada"))
      assert.deepStrictEqual(yield* titleOf("a".repeat(60)), Option.some("a".repeat(60)))
      assert.deepStrictEqual(yield* titleOf("a".repeat(61)), Option.some(`${"a".repeat(59)}…`))
      assert.deepStrictEqual(yield* titleOf(" "), Option.none())
    }))

  it.effect("the end of a task waits at most 5 s for a title; a later title is stored without an event", () =>
    Effect.gen(function*() {
      const task = yield* start
      const reader = yield* Effect.forkChild(typesOf(task.id))
      yield* adjust("4999 millis")
      assert.isUndefined(reader.pollUnsafe())
      yield* adjust("1 millis")
      assert.notInclude(yield* Fiber.join(reader), "title")
      assert.isUndefined(yield* stored)
      yield* adjust("5 seconds")
      assert.strictEqual(yield* stored, "Late")
    }).pipe(Effect.provide(withTitles(() => Effect.delay(Effect.succeedSome("Late"), "10 seconds"), ["ok"]))))

  it.effect("a failed title does not affect the task, and the next task makes the title", () => {
    const makers = [
      Effect.die("a bug"),
      Effect.fail(AiError.make({ module: "m", method: "m", reason: new AiError.UnknownError({}) })),
      Effect.succeedNone,
      Effect.succeedSome("At last")
    ]
    return Effect.gen(function*() {
      for (const expected of [undefined, undefined, undefined, "At last"]) {
        const task = yield* start
        assert.strictEqual((yield* typesOf(task.id)).at(-1), "done")
        assert.strictEqual(yield* stored, expected)
      }
    }).pipe(Effect.provide(withTitles(() => makers.shift() ?? Effect.die("none left"), ["1"], ["2"], ["3"], ["4"])))
  })

  it.effect("P7: a cancel also ends the request for a title", () => {
    const asked = Deferred.makeUnsafe<void>()
    const aborted = Deferred.makeUnsafe<void>()
    const titles = () =>
      Effect.andThen(Deferred.succeed(asked, undefined), Effect.never).pipe(
        Effect.onInterrupt(() => Deferred.succeed(aborted, undefined))
      )
    return Effect.gen(function*() {
      const task = yield* start
      yield* Deferred.await(asked)
      assert.strictEqual((yield* (yield* TaskManager).cancel(task.id)).status, "cancelled")
      yield* Deferred.await(aborted)
      assert.strictEqual((yield* typesOf(task.id)).at(-1), "cancelled")
    }).pipe(Effect.provide(withTitles(titles, [{ never: true }])))
  })

  it.effect("a title that a person chooses while another is being made stays, and readers get no other title", () => {
    const asked = Deferred.makeUnsafe<void>()
    const made = Deferred.makeUnsafe<string>()
    const titles = () => Effect.andThen(Deferred.succeed(asked, undefined), Effect.asSome(Deferred.await(made)))
    return Effect.gen(function*() {
      const store = yield* ConversationStore
      const task = yield* start
      yield* Deferred.await(asked)
      yield* store.setTitle(id, "Chosen", { chosen: true })
      yield* Deferred.succeed(made, "Made")
      assert.notInclude(yield* typesOf(task.id), "title")
      assert.strictEqual(yield* stored, "Chosen")
    }).pipe(Effect.provide(withTitles(titles, ["ok"])))
  })

  it.effect("P8: a title that a recovery stores again does not replace one that a person chose", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const agent = yield* LlmAgent.make({
        agentId: "a",
        systemPrompt: "",
        titles: () => Effect.succeedSome("Made"),
        model: ScriptedModel.layer({ turns: [["partial ", { never: true }], ["ok"]] })
      })
      const a = yield* startProcess(both, [agent])
      const task = yield* a.manager.start({ message: "x", conversationId: id })
      yield* settle
      assert.strictEqual((yield* both.store.get(key)).title, "Made")
      yield* both.store.setTitle(id, "Chosen", { chosen: true })
      a.line.cut()
      const b = yield* startProcess(both, [agent])
      yield* adjust("12 seconds")
      yield* b.manager.await(task.id)
      assert.strictEqual((yield* both.store.get(key)).title, "Chosen")
    }))

  it.effect("P8: a title with a durable event is stored after a crash", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const agent = yield* LlmAgent.make({
        agentId: "a",
        systemPrompt: "",
        titles: () => Effect.succeedSome("Weather"),
        model: ScriptedModel.layer({ turns: [["partial ", { never: true }], ["ok"]] })
      })
      const a = yield* startProcess(both, [agent])
      a.line.fault = () => a.line.names.at(-1) === "setTitle" ? "refused" : undefined
      const task = yield* a.manager.start({ message: "x", conversationId: id })
      yield* settle
      a.line.cut()
      assert.isUndefined((yield* both.store.get(key)).title)
      const b = yield* startProcess(both, [agent])
      yield* adjust("12 seconds")
      yield* b.manager.await(task.id)
      assert.strictEqual((yield* both.store.get(key)).title, "Weather")
    }))
})

describe("ConversationTitle.fromModel", () => {
  it.effect.each(
    [
      ["Weather in Oslo", "Weather in Oslo"],
      ["\n# \"Weather in Oslo.\"\nbecause ...", "Weather in Oslo"],
      ["Title: **Weather**", "Weather"],
      [" \n", undefined],
      ["word ".repeat(30), `${"word ".repeat(15)}word…`]
    ] as const
  )("%j becomes %j", ([answer, title]) =>
    Effect.gen(function*() {
      const make = yield* ConversationTitle.make({ prompt: "A title for:" })
      const made = yield* make([userText("What is the weather in Oslo?"), userText("and more")])
      assert.strictEqual(Option.getOrUndefined(made), title)
      const [request] = yield* (yield* Script).requests
      assert.include(JSON.stringify(request?.prompt.content), "A title for:\\n\\nWhat is the weather in Oslo?\"")
      assert.deepStrictEqual(request?.tools, [])
    }).pipe(Effect.provide(ScriptedModel.layer({ turns: [[answer]] }))))

  it.effect("a message without text gets no title", () =>
    Effect.gen(function*() {
      const make = yield* ConversationTitle.fromModel(ScriptedModel.layer())
      const file = { type: "file", mediaType: "image/png", data: "aGk=" } as const
      assert.deepStrictEqual(yield* make([{ role: "user", content: [file] }]), Option.none())
    }))
})
