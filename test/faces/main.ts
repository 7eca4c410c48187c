/**
 * Prints the table of clients and cases, each of them executed now: `pnpm test:faces`. With `--write` it replaces the table in
 * docs/faces/README.md. It fails if a case fails.
 */
import { Console, Effect, Exit, References } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { type Case, cases, type Client, table } from "./client.ts"
import { clients, faces } from "./clients.ts"
import { start } from "./server.ts"

const page = "docs/faces/README.md"

const runCase = (client: Client, name: Case) =>
  start(faces).pipe(
    Effect.flatMap((server) => client.cases[name](server)),
    Effect.scoped,
    Effect.exit,
    Effect.tap((exit) => Exit.isSuccess(exit) ? Effect.void : Console.error(client.name, name, exit.cause)),
    Effect.map((exit) => Exit.isSuccess(exit) ? [] : [`${client.name} ${name}`])
  )

const main = Effect.gen(function*() {
  const failed = new Set(
    (yield* Effect.forEach(clients, (client) => Effect.forEach(cases, (name) => runCase(client, name)))).flat(2)
  )
  const printed = table(clients, (client, name) => !failed.has(`${client.name} ${name}`))
  yield* Console.log(printed)
  if (process.argv.includes("--write")) {
    writeFileSync(page, readFileSync(page, "utf8").replace(/^\| client[^]*?(?=\n\n)/m, printed))
  }
  process.exitCode = failed.size === 0 ? 0 : 1
})

await Effect.runPromise(Effect.provideService(main, References.MinimumLogLevel, "None"))
