/** Every client through every case: the table of docs/faces/README.md. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { cases, table } from "./client.ts"
import { clients, faces } from "./clients.ts"
import { start } from "./server.ts"

for (const client of clients) {
  describe(client.name, () => {
    for (const name of cases) {
      it.live(name, () => Effect.flatMap(start(faces), (server) => client.cases[name](server)))
    }
  })
}

it("the table in docs/faces has these clients and cases", () => {
  assert.include(readFileSync("docs/faces/README.md", "utf8"), table(clients))
})
