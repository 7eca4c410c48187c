/**
 * A server process whose agent pours out as many events as the user's message says, onto a database file.
 */
import { NodeRuntime } from "@effect/platform-node"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import * as SqliteClient from "@perennial/backends/SqliteClient"
import * as SqlTaskBackend from "@perennial/backends/SqlTaskBackend"
import { Console, Effect, Layer } from "effect"
import * as Talker from "./talker.ts"

const filename = process.env["FILE"] ?? ":memory:"

const store = Layer.mergeAll(SqlTaskBackend.layer, SqlConversationStore.layer).pipe(
  Layer.provide(SqliteClient.layer({ filename }))
)

const { agent, gate } = Talker.makeTalker(200)
gate.openUnsafe()

Layer.effectDiscard(Effect.flatMap(Talker.address, Console.log)).pipe(
  Layer.provide(Talker.layer(agent, store)),
  Layer.launch,
  NodeRuntime.runMain
)
