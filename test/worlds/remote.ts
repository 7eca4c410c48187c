/** The typed client of the processes of a world. Building it takes long, so that the worlds of a thread have one in common. */
import { TaskManager } from "@perennial/domain/TaskManager"
import * as Client from "@perennial/http/Client"
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
export const remote: Pick<Client.PerennialClient["Service"], "watch" | "watchConversation"> & {
  readonly manager: TaskManager["Service"]
} = Effect.runSync(
  Effect.gen(function*() {
    const { watch, watchConversation } = yield* Client.PerennialClient
    return { manager: yield* TaskManager, watch, watchConversation }
  }).pipe(
    Effect.provide(Layer.provideMerge(Client.layerTaskManager(server), Client.layer(server))),
    Effect.provideService(
      HttpClient.HttpClient,
      HttpClient.make((request) => Effect.flatMap(CurrentConnections, (connections) => connections.request(request)))
    )
  )
)
