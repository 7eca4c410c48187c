/**
 * The deletion of a user by a process that is killed in the middle: another process completes it.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as SqliteStore from "@perennial/backends/SqliteStore"
import { Agents } from "@perennial/domain/Agent"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { UserId } from "@perennial/domain/Ids"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskManager } from "@perennial/domain/TaskManager"
import { UserData } from "@perennial/domain/UserData"
import type { WebhookStore } from "@perennial/domain/WebhookStore"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Layer, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { makeDatabase, withPostgres } from "../../packages/backends/test/support/postgres.ts"
import { environment } from "../support/server.ts"
import * as Storage from "../support/storage.ts"
import { directory } from "../support/stores.ts"
import * as Talker from "../support/talker.ts"

const user = UserId.make("zq7markzq7")
const conversations = 8

type Stores = TaskBackend | ConversationStore | WebhookStore

/** A process of its own, without a handle to the one before. */
const processOf = <E>(stores: Layer.Layer<Stores, E>) =>
  Layer.fresh(UserData.layer.pipe(
    Layer.provideMerge(TaskRuntime.layer),
    Layer.provide(Agents.layer([Talker.makeTalker().agent])),
    Layer.provide(stores)
  ))

const fill = Effect.gen(function*() {
  const { await: awaitTask, start } = yield* TaskManager
  for (let i = 0; i < conversations; i++) {
    yield* awaitTask((yield* start({ message: `${user}-${i} 20` })).id)
  }
  // Its process ends with the test's own, and its task is taken over.
  yield* start({ message: `${user} 20 gate 20` })
}).pipe(Effect.provideService(CurrentUser, user))

const completes = Effect.fnUntraced(function*<E>(
  stores: Layer.Layer<Stores, E>,
  env: Readonly<Record<string, string>>
) {
  yield* Effect.provide(fill, processOf(stores))
  const killed = yield* ChildProcess.make(process.execPath, ["test/support/eraseWorker.ts"], {
    env: { ...environment, ...env, USER: user },
    killSignal: "SIGKILL"
  })
  const lines = killed.all.pipe(Stream.decodeText(), Stream.splitLines)
  const half = yield* Stream.runCollect(Stream.takeUntil(lines, (line) => line === "half"))
  assert.strictEqual(half[half.length - 1], "half")
  yield* Effect.ignore(killed.kill({ killSignal: "SIGKILL" }))

  const receipt = yield* Effect.provide(Effect.flatMap(UserData, (data) => data.erase(user)), processOf(stores))
  // The killed process has erased at most two conversations, and the tasks of at least three.
  assert.isAtLeast(receipt.conversations, conversations + 1 - 2)
  assert.isAtMost(receipt.tasks, conversations + 1 - 3)
  const left = yield* Effect.provide(
    Effect.flatMap(UserData, (data) => Stream.runCollect(data.export(user))),
    processOf(stores)
  )
  assert.deepStrictEqual(left.map(({ type }) => type), ["user", "end"])
})

describe("kill -9 in the middle of a deletion", () => {
  it.live(
    "SQLite: the next call completes it, and the files have nothing of the user",
    () =>
      Effect.gen(function*() {
        const path = yield* directory
        const filename = join(path, "test.db")
        yield* completes(SqliteStore.layer({ filename }), { FILE: filename })
        for (const file of readdirSync(path)) assert.notInclude(readFileSync(join(path, file), "latin1"), user, file)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})

withPostgres("kill -9 in the middle of a deletion on PostgreSQL", (postgres) => {
  it.live(
    "the next call completes it",
    () =>
      Effect.flatMap(makeDatabase(postgres), ({ url }) => completes(Storage.layer(url), { STORE: url })).pipe(
        Effect.scoped,
        Effect.provide(NodeServices.layer)
      )
  )
})
