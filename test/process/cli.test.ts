import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Effect, Layer } from "effect"
import { join } from "node:path"
import * as Evergreen from "../support/evergreen.ts"
import { begin, perennial, shell } from "../support/perennial.ts"
import { directory } from "../support/stores.ts"

const layer = Layer.merge(FakeAnthropic.layer, NodeServices.layer)

const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")

/** P3: each event once, in order, up to the terminal event. */
const assertWhole = (out: string, end: string) => {
  const events = lines(out).map((line) => JSON.parse(line))
  assert.deepStrictEqual(events.map(({ seq }) => seq), events.map((_, i) => i + 1))
  assert.strictEqual(events.at(-1).event.type, end)
  return events
}

describe("the program perennial", () => {
  it.live("P3, P6: SIGINT leaves with 130 and says how to come back; a later watch shows every event exactly once", () =>
    Effect.gen(function*() {
      const { address, fake } = yield* Evergreen.make
      yield* fake.push({ actions: [{ text: ["One ", "two "] }, { hang: true }] })
      const env = { PERENNIAL_SERVER: address }
      const started = yield* begin(["start", "Count."], { env })
      yield* started.until("out", "two")
      yield* started.signal("SIGINT")
      const { code, err, out } = yield* started.ended
      assert.deepStrictEqual([code, out], [130, "One two \n"])
      const [, id = ""] = /To come back: perennial watch (\S+)$/m.exec(err) ?? []
      const shown = yield* perennial(["show", id, "--json"], { env })
      assert.deepInclude(JSON.parse(shown.out), { id, status: "running" })

      const watching = yield* begin(["watch", id, "--json"], { env })
      yield* watching.until("out", `two "`)
      assert.strictEqual((yield* perennial(["cancel", id], { env })).code, 0)
      const watched = yield* watching.ended
      assert.strictEqual(watched.code, 1)
      assertWhole(watched.out, "cancelled")
      assert.strictEqual((yield* perennial(["watch", id, "--json"], { env })).out, watched.out)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("P7: a second SIGINT cancels the task: the model request is aborted", () =>
    Effect.gen(function*() {
      const { address, fake } = yield* Evergreen.make
      yield* fake.push({ actions: [{ text: ["One "] }, { hang: true }] })
      const env = { PERENNIAL_SERVER: address }
      const twice = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
        const started = yield* begin(args, { env })
        yield* started.until("out", "One")
        yield* started.signal("SIGINT")
        yield* started.until("err", "Ctrl-C once more")
        yield* started.signal("SIGINT")
        const { code, err } = yield* started.ended
        assert.strictEqual(code, 130)
        return err
      })
      let err = yield* twice(["start", "Count."])
      const [, id = ""] = /perennial watch (\S+)/.exec(err) ?? []
      // On a busy machine the second signal may come too late: then the program has left, and the task runs on.
      while (err.endsWith("Ctrl-C once more cancels the task.\n")) err = yield* twice(["watch", id])
      assert.match(err, /: cancelled\.\n$/)
      assert.strictEqual(yield* (yield* fake.nextRequest).end, "aborted")
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("a reader such as head that closes the pipe early ends it quietly, with code 0", () =>
    Effect.gen(function*() {
      const { address, fake } = yield* Evergreen.make
      const words = Array.from({ length: 400 }, (_, i) => `${i} ${"x".repeat(1_000)} `)
      yield* fake.push({ actions: [{ text: words }] })
      const env = { PERENNIAL_SERVER: address }
      assert.strictEqual((yield* perennial(["start", "Much."], { env })).code, 0)
      const piped = yield* shell(
        `ID=$(perennial list --json | sed 's/.*"id":"\\([^"]*\\)".*/\\1/')
         { perennial watch "$ID"; echo "code $?" >&2; } | head -c 2`,
        { env }
      )
      assert.match(piped.output, /^(0 |Task .*\n|Model .*\n|Title: .*\n|code 0\n)+$/)
      assert.include(piped.output, "code 0")
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("serve --json: the standard output has one line, with the address; all remarks are on standard error", () =>
    Effect.gen(function*() {
      const server = yield* begin(["serve", "--json", "--port", "0", "--store", "memory"])
      yield* server.until("out", "}\n")
      const { address, docs } = JSON.parse((yield* server.printed).out)
      assert.strictEqual(docs, `${address}/docs`)
      const { code, out } = yield* perennial(["list", "--json"], { env: { PERENNIAL_SERVER: address } })
      assert.deepStrictEqual([code, JSON.parse(out)], [0, { items: [] }])
      yield* server.signal("SIGTERM")
      const ended = yield* server.ended
      assert.deepStrictEqual([ended.code, lines(ended.out).length], [0, 1])
      assert.include(ended.err, "Tasks and conversations are in memory.")
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("serve: a server with the agents of a module, which SIGTERM ends with code 0; then the store is used directly", () =>
    Effect.gen(function*() {
      const store = `sqlite:${join(yield* directory, "test.db")}`
      const server = yield* begin(["serve", "test/support/hangingAgents.ts", "--port", "0", "--store", store])
      yield* server.until("out", "perennial start")
      const address = /--server (\S+)/.exec((yield* server.printed).out)?.[1] ?? ""
      const env = { PERENNIAL_SERVER: address }
      const { id, status } = JSON.parse((yield* perennial(["start", "Hello", "--detach", "--json"], { env })).out)
      assert.strictEqual(status, "queued")
      const wrong = yield* perennial(["list", "--store", store])
      assert.deepStrictEqual([wrong.code, lines(wrong.err).length], [3, 1])
      const checked = yield* perennial(["doctor", "--json"], { env })
      assert.deepStrictEqual([checked.code, JSON.parse(checked.out).ok], [0, true], checked.out)
      yield* server.signal("SIGTERM")
      assert.strictEqual((yield* server.ended).code, 0)

      const gone = yield* perennial(["list"], { env })
      assert.deepStrictEqual([gone.code, gone.out, lines(gone.err).length], [3, "", 1])
      const listed = yield* perennial(["list", "--store", store, "--json"])
      assert.deepStrictEqual(JSON.parse(listed.out).items.map((task: { id: string }) => task.id), [id])
      const cancelled = yield* perennial(["cancel", id, "--store", store, "--json"])
      assert.deepInclude(JSON.parse(cancelled.out), { id, status: "cancelled" })
      assertWhole((yield* perennial(["watch", id, "--store", store, "--json"])).out, "cancelled")
      const doctor = yield* perennial(["doctor", "--store", store, "--json"])
      assert.deepStrictEqual([doctor.code, JSON.parse(doctor.out).ok], [0, true], doctor.out)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("P8: start on a store executes the task here; SIGINT hands it over, and watch continues it", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ actions: [{ text: ["One "] }, { hang: true }] }, { actions: [{ text: ["Two."] }] })
      const store = `sqlite:${join(yield* directory, "test.db")}`
      const env = { ANTHROPIC_API_KEY: "test", ANTHROPIC_BASE_URL: fake.url, PERENNIAL_MODEL: "claude-test" }
      const started = yield* begin(["start", "Count.", "--store", store], { env })
      yield* started.until("out", "One")
      yield* started.signal("SIGINT")
      const { code, err } = yield* started.ended
      const [, id = ""] = /To come back: perennial watch (\S+) --store sqlite:/m.exec(err) ?? []
      assert.strictEqual(code, 130)
      const watched = yield* perennial(["watch", id, "--store", store, "--json"], { env })
      assert.strictEqual(watched.code, 0, watched.err)
      assert.include(assertWhole(watched.out, "done").map(({ event }) => event.type), "resumed")
    }).pipe(Effect.scoped, Effect.provide(layer)))
})
