/**
 * A server process whose agent emits as many events as the user's message says. `STORE` is the URL of its store or the path
 * of its database file. The server answers `GET /memory` with the number of bytes that it holds.
 */
import { NodeRuntime } from "@effect/platform-node"
import * as SqliteStore from "@perennial/backends/SqliteStore"
import { Console, Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { heldBytes } from "./heap.ts"
import * as Storage from "./storage.ts"
import * as Talker from "./talker.ts"

const database = process.env["STORE"] ?? ":memory:"

const sqlite = SqliteStore.layer({ filename: database })

const { agent, gate } = Talker.makeTalker(200)
gate.openUnsafe()

const routes = HttpRouter.add("GET", "/memory", Effect.map(heldBytes, HttpServerResponse.jsonUnsafe))

const launch = <E>(store: Parameters<typeof Talker.layer<E>>[1]) =>
  Layer.effectDiscard(Effect.flatMap(Talker.address, Console.log)).pipe(
    Layer.provide(Talker.layer(agent, store, { routes })),
    Layer.launch,
    NodeRuntime.runMain
  )

if (database.includes("://")) launch(Storage.layer(database))
else launch(sqlite)
