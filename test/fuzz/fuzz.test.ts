/** Seeded requests of an attacker. `pnpm test:fuzz` sends many more, with a fresh seed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { fuzz } from "./fuzz.ts"

describe("an attacker who knows every id, cursor and key of another user", () => {
  for (const store of ["memory", "sqlite"] as const) {
    it.live(
      `P12: gets nothing of that user, no error of the server, and changes nothing, on ${store}`,
      () =>
        Effect.gen(function*() {
          const report = yield* fuzz({ store, seed: 7, count: 1_000 })
          assert.deepStrictEqual(report.findings, [])
          assert.isTrue(report.intact)
          assert.containsAllKeys(Object.fromEntries(report.statuses), ["200", "201", "400", "401", "403", "404", "405"])
          const api = ["/tasks", "/chat", "/conversations", "/webhooks", "/feed", "/users", "/operator"]
          const faces = ["/ai-sdk", "/v1", "/ag-ui", "/a2a", "/threads", "/runs", "/assistants", "/mcp"]
          for (const path of [...api, ...faces]) assert.isAbove(report.operations.get(path) ?? 0, 0, path)
        })
    )
  }
})
