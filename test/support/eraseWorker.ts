/**
 * A process that erases the user `USER` from the store of `STORE`, or from the database file of `FILE`, and stops for ever in the
 * middle: the tasks of a third conversation are deleted, and the conversation is not. It prints `half` then, and waits for its death.
 */
import { NodeRuntime } from "@effect/platform-node"
import * as SqliteStore from "@perennial/backends/SqliteStore"
import { Agents } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { UserId } from "@perennial/domain/Ids"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { UserData } from "@perennial/domain/UserData"
import type { WebhookStore } from "@perennial/domain/WebhookStore"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Console, Effect, Layer } from "effect"
import * as Storage from "./storage.ts"
import * as Talker from "./talker.ts"

const shared = process.env["STORE"]

/** The store, whose third deletion does not come to pass. */
const stopping = Layer.effect(
  ConversationStore,
  Effect.map(ConversationStore, (store) => {
    let deletions = 0
    return {
      ...store,
      delete: (key, options) =>
        Effect.suspend(() =>
          ++deletions < 3 ? store.delete(key, options) : Effect.andThen(Console.log("half"), Effect.never)
        )
    }
  })
)

const run = <E>(stores: Layer.Layer<TaskBackend | ConversationStore | WebhookStore, E>): void =>
  Effect.flatMap(UserData, (data) => data.erase(UserId.make(process.env["USER"] ?? ""))).pipe(
    Effect.provide(UserData.layer.pipe(
      Layer.provide(TaskRuntime.layer),
      Layer.provide(Agents.layer([Talker.makeTalker().agent])),
      Layer.provide(stopping),
      Layer.provide(stores)
    )),
    NodeRuntime.runMain
  )

if (shared === undefined) run(SqliteStore.layer({ filename: process.env["FILE"] ?? ":memory:" }))
else run(Storage.layer(shared))
