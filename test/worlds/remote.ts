/** The typed client of the processes of a world. Building it takes long, so that the worlds of a thread have one in common. */
import { TaskManager } from "@perennial/domain/TaskManager"
import * as Client from "@perennial/http/Client"
import type { Watch } from "@perennial/http/Watch"
import { Context, Effect, Layer } from "effect"
import { HttpClient } from "effect/http"
import type { Connections } from "./connections.ts"

/** The connections of the world that a fiber belongs to. */
export const CurrentConnections = Context.Reference<Connections>("test/worlds/CurrentConnections", {
  defaultValue: () => {
    throw new Error("A request over HTTP comes from no world.")
  }
})

const server = { baseUrl: "http://world" }

/** Its calls need `CurrentConnections`. */
export const remote: { readonly manager: TaskManager["Service"]; readonly watch: Watch } = Effect.runSync(
  Effect.all({
    manager: TaskManager,
    watch: Effect.map(Client.PerennialClient, ({ watch }) => watch)
  }).pipe(
    Effect.provide(Layer.provideMerge(Client.layerTaskManager(server), Client.layer(server))),
    Effect.provideService(
      HttpClient.HttpClient,
      HttpClient.make((request) => Effect.flatMap(CurrentConnections, (connections) => connections.request(request)))
    )
  )
)
