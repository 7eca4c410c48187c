import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { DatabaseSync } from "node:sqlite"
import * as Rest from "../support/rest.ts"
import * as Sse from "../support/sse.ts"
import * as Browser from "./browser.ts"
import { started } from "./server.ts"

const zone = "Asia/Tokyo"

/** Where the person is, and when each conversation was last used there. */
const lastUsed = [
  ["today", "2031-05-14T00:05:00+09:00"],
  ["yesterday evening", "2031-05-13T23:55:00+09:00"],
  ["yesterday morning", "2031-05-13T00:05:00+09:00"],
  ["two days ago", "2031-05-12T23:55:00+09:00"],
  ["six days ago", "2031-05-08T12:00:00+09:00"],
  ["seven days ago", "2031-05-07T23:55:00+09:00"],
  ["a year ago", "2030-05-14T12:00:00+09:00"]
] as const

describe.skipIf(!Browser.isInstalled)("the sidebar of evergreen's web app", () => {
  it.live("has a heading for each day, in the time zone of the person, and says the new day at midnight", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const directory = yield* files.makeTempDirectoryScoped()
      const [file, script] = [`${directory}/perennial.db`, `${directory}/script`]
      yield* files.writeFileString(script, "Hello.\n")
      const { address } = yield* started({ PERENNIAL_STORE: `sqlite:${file}`, PERENNIAL_SCRIPT: script })
      for (const [id] of lastUsed) {
        const taskId = yield* Rest.start(address, { message: "Hello", conversationId: id })
        const { next } = yield* Sse.connect(`${address}/tasks/${taskId}/events`)
        yield* Effect.repeat(next, { until: ({ data }) => data.type === "done" })
        yield* Rest.send("PATCH", `${address}/conversations/${encodeURIComponent(id)}`, { title: id })
      }
      yield* Effect.sync(() => {
        using store = new DatabaseSync(file, { timeout: 5_000 })
        const update = store.prepare(
          "UPDATE perennial_conversations SET created_at = ?1, updated_at = ?1 WHERE id = ?2"
        )
        for (const [id, at] of lastUsed) assert.strictEqual(update.run(Date.parse(at), id).changes, 1, id)
      })

      const me = yield* Browser.visitor(yield* Browser.launch, { timezoneId: zone })
      // The clock goes on: until midnight there is more time than the test needs.
      yield* Browser.act(() => me.context.clock.install({ time: "2031-05-14T23:00:00+09:00" }))
      const page = yield* me.open(address)
      const shown = () =>
        page.locator(".sidebar .conversations section").evaluateAll((days) =>
          days.map((day) => [
            day.querySelector("h2")?.textContent,
            ...[...day.querySelectorAll(".title")].map(({ textContent }) => textContent)
          ])
        )
      yield* Browser.act(() => page.locator(".conversations a").nth(lastUsed.length - 1).waitFor())
      assert.deepStrictEqual(yield* Browser.act(shown), [
        ["Today", "today"],
        ["Yesterday", "yesterday evening", "yesterday morning"],
        ["This week", "two days ago", "six days ago"],
        ["Earlier", "seven days ago", "a year ago"]
      ])
      yield* Browser.picture(page, "sidebar-days")
      assert.deepStrictEqual(yield* Browser.violations(page), [])

      yield* Browser.act(async () => {
        await me.context.clock.fastForward("01:01:00")
        await page.getByRole("region", { name: "Today" }).waitFor({ state: "detached" })
      })
      assert.deepStrictEqual(yield* Browser.act(shown), [
        ["Yesterday", "today"],
        ["This week", "yesterday evening", "yesterday morning", "two days ago"],
        ["Earlier", "six days ago", "seven days ago", "a year ago"]
      ])
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
