/** The commands about the data of a person, against a server with users and straight at a store. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { perennial } from "./cli.ts"
import { make } from "./cliUsers.ts"

const typesOf = (ndjson: string): ReadonlyArray<string> =>
  ndjson.trimEnd().split("\n").map((line) => JSON.parse(line).type)

describe("perennial export and delete-user", () => {
  it.live("P12: a user exports and erases the data of this user; an operator those of any user", () =>
    Effect.gen(function*() {
      const run = yield* make
      yield* run("alice", "start", "marker")
      const mine = yield* run("alice", "export")
      assert.strictEqual(mine.code, 0, mine.err)
      assert.deepStrictEqual([typesOf(mine.out)[0], typesOf(mine.out).at(-1)], ["user", "end"])
      assert.include(mine.out, "marker")
      assert.strictEqual(mine.err, `The export is complete: ${typesOf(mine.out).length} lines.\n`)
      const theirs = yield* run("olga", "export", "--user", "alice", "--json")
      assert.strictEqual(typesOf(theirs.out).length, typesOf(mine.out).length)
      assert.deepStrictEqual((yield* run("alice", "export", "--user", "olga")).code, 4)
      assert.deepStrictEqual((yield* run("alice", "delete-user", "--user", "olga", "--yes")).code, 4)

      const unsure = yield* run("olga", "delete-user", "--user", "alice")
      assert.deepStrictEqual([unsure.code, unsure.out], [2, ""])
      assert.match(unsure.err, /user alice.*--yes/)
      const erased = yield* run("olga", "delete-user", "--user", "alice", "--yes", "--json")
      assert.deepInclude(JSON.parse(erased.out), { conversations: 1, messages: 2, tasks: 1 })
      assert.strictEqual((yield* run("alice", "list")).out, "")
      assert.match((yield* run("alice", "delete-user", "--yes")).out, /^conversations +0\nmessages +0\n/)
    }).pipe(Effect.scoped))

  it.live("works straight at a store, for any user", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const store = `sqlite:${yield* files.makeTempDirectoryScoped()}/test.db`
      const agents = new URL("./cliAgents.ts", import.meta.url).pathname
      const at = (...args: ReadonlyArray<string>) => perennial([...args, "--store", store, "--user", "eve"])
      const started = yield* at("start", "one", "--agents", agents)
      assert.deepStrictEqual([started.code, started.out], [0, "one\n"], started.err)
      assert.include((yield* at("export")).out, `"userId":"eve"`)
      assert.strictEqual((yield* perennial(["list", "--store", store])).out, "")
      assert.match((yield* at("delete-user", "--yes")).out, /^conversations +1\n/)
      assert.strictEqual((yield* at("list")).out, "")
      assert.strictEqual((yield* at("start", "one", "--agents", "/none.ts")).code, 2)
      assert.strictEqual((yield* perennial(["start", "one", "--agents", agents])).code, 2)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
