/** The commands of operators, against a server with users. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { make } from "./cliUsers.ts"

describe("perennial records and runners", () => {
  it.live("an operator lists the tasks of all users, and the processes; a user may not", () =>
    Effect.gen(function*() {
      const run = yield* make
      for (const user of ["alice", "olga"]) assert.strictEqual((yield* run(user, "start", "a secret marker")).code, 0)
      const all = yield* run("olga", "records", "--json")
      assert.deepStrictEqual(
        JSON.parse(all.out).items.map(({ status, userId }: Record<string, string>) => [userId, status]),
        [["olga", "completed"], ["alice", "completed"]]
      )
      assert.notInclude(all.out, "marker")
      const [id] = JSON.parse((yield* run("alice", "list", "--json")).out).items.map(({ id }: { id: string }) => id)
      const one = yield* run("olga", "records", "--user", "alice", "--status", "completed", "--agent", "echo")
      assert.match(one.out, new RegExp(`^${id}  completed  \\S+ \\S+  alice  echo\\n$`))
      assert.strictEqual((yield* run("olga", "records", "--runner", "none")).err, "There are no tasks.\n")
      const runners = yield* run("olga", "runners")
      assert.match(runners.out, /^\S+  \d+\.\d+\.\d+  0 of 1000 running  0 waiting\s+heard .*  echo\n$/)
      const [{ capacity }] = JSON.parse((yield* run("olga", "runners", "--json")).out).items
      assert.strictEqual(capacity, 1_000)
      for (const command of ["records", "runners"]) {
        const refused = yield* run("alice", command)
        assert.deepStrictEqual([refused.code, refused.out], [4, ""])
      }
    }).pipe(Effect.scoped))
})
