/**
 * Servers that execute no task, on a copy of a store with active tasks.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Effect, Layer } from "effect"
import { copyFileSync, existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Rest from "../support/rest.ts"
import * as Server from "../support/server.ts"
import * as Sse from "../support/sse.ts"
import { directory } from "../support/stores.ts"

/** The database of a dead server, with the write-ahead log that it left. */
const copy = (directory: string) => {
  for (const suffix of ["", "-wal"]) {
    const file = join(directory, `production.db${suffix}`)
    if (existsSync(file)) copyFileSync(file, join(directory, `copy.db${suffix}`))
  }
}

describe("PERENNIAL_EXECUTE", () => {
  it.live("P10: with false a restored copy is served and calls no model; by default its tasks continue", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      const here = yield* directory
      const env = (file: string) => ({
        PERENNIAL_STORE: `sqlite:${join(here, file)}`,
        ANTHROPIC_API_KEY: "test",
        ANTHROPIC_BASE_URL: fake.url,
        PERENNIAL_MODEL: "claude-test"
      })
      const production = yield* Server.start({ env: env("production.db") })
      yield* fake.push({ actions: [{ text: ["All ", "was "] }, { hang: true }] })
      const id = yield* Rest.start(production.address, { message: "How is it?" })
      const reader = yield* Sse.connect(`${production.address}/tasks/${id}/events`)
      const seen = yield* Sse.readUntil(reader, ({ data }) => data.type === "text")
      yield* production.kill
      copy(here)

      const staging = yield* Server.start({ env: { ...env("copy.db"), PERENNIAL_EXECUTE: "false" } })
      const task = Effect.map(Rest.get(`${staging.address}/tasks/${id}`), ({ body }) => body)
      const restored = yield* task
      assert.deepInclude(restored, { status: "running", attempt: 1 })
      const queued = yield* Rest.start(staging.address, { message: "And now?" })
      assert.strictEqual((yield* Rest.get(`${staging.address}/ready`)).status, 200)
      const { body } = yield* Rest.get(`${staging.address}/tasks/${queued}`)
      assert.deepInclude(body, { status: "queued", attempt: 0 })
      const log = yield* Sse.connect(`${staging.address}/tasks/${id}/events`)
      yield* Sse.readUntil(log, ({ id }) => id === seen.at(-1)?.id)
      assert.deepStrictEqual(yield* task, restored)
      assert.strictEqual(yield* staging.terminate, 0)
      assert.lengthOf(yield* fake.requests, 1)

      yield* fake.otherwise(() => ({ actions: [{ text: ["All ", "is ", "well."] }] }))
      const again = yield* Server.start({ env: env("copy.db") })
      for (const each of [id, queued]) {
        const { events } = yield* Sse.read(`${again.address}/tasks/${each}/events`)
        assert.strictEqual(events.at(-1)?.data.type, "done")
      }
      assert.deepInclude((yield* Rest.get(`${again.address}/tasks/${id}`)).body, { status: "completed", attempt: 2 })
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(FakeAnthropic.layer, NodeServices.layer))))
})

describe("capacity 0", () => {
  it.live("P10: on a restored copy no tool runs; with the default capacity the tools of active tasks run", () =>
    Effect.gen(function*() {
      const here = yield* directory
      const module = "test/support/worker.ts"
      const env = (name: string) => ({ FILE: join(here, `${name}.db`), RUNS: join(here, `${name}.runs`) })
      const runs = (name: string) => {
        const file = env(name).RUNS
        return existsSync(file) ? readFileSync(file, "utf8") : ""
      }
      // The process is killed in the middle of the task, however long this test takes.
      const production = yield* Server.start({ module, env: { ...env("production"), STEPS: "2" } })
      const id = yield* Rest.start(production.address, { message: "steps 30" })
      const reader = yield* Sse.connect(`${production.address}/tasks/${id}/events`)
      yield* Sse.readUntil(reader, ({ data }) => data.type === "tool_result")
      yield* production.kill
      assert.notInclude(runs("production"), "once-30")
      copy(here)

      const staging = yield* Server.start({ module, env: { ...env("copy"), CAPACITY: "0" } })
      yield* Rest.start(staging.address, { message: "steps 1" })
      assert.deepInclude((yield* Rest.get(`${staging.address}/tasks/${id}`)).body, { status: "running", attempt: 1 })
      yield* staging.kill
      assert.strictEqual(runs("copy"), "")

      const again = yield* Server.start({ module, env: env("copy") })
      const { events } = yield* Sse.read(`${again.address}/tasks/${id}/events`)
      assert.strictEqual(events.at(-1)?.data.type, "done")
      assert.include(runs("copy"), "end once-30")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
