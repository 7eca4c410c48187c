/**
 * The measured server: the layers of Perennial, and an agent that emits on command.
 */
import { Agents } from "@perennial/domain/Agent"
import { TaskId } from "@perennial/domain/Ids"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as NodeServer from "@perennial/http/NodeServer"
import * as HttpApiServer from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Layer, ManagedRuntime, Stream } from "effect"
import { HttpServer } from "effect/http"
import { agent, command } from "./agent.ts"
import { serve } from "./ipc.ts"
import { resources, type Server } from "./server.ts"
import { layer as storeLayer, type StoreName } from "./stores.ts"

const layer = HttpApiServer.layer().pipe(
  Layer.provide(Tokens.layerLocal),
  Layer.provideMerge(NodeServer.layer({ port: 0 })),
  Layer.provideMerge(TaskRuntime.layer),
  Layer.provide(Agents.layer([agent])),
  Layer.provide(storeLayer((process.env["BENCH_STORE"] ?? "memory") as StoreName, process.env["BENCH_URL"] ?? "")),
  Layer.provide(TaskLimits.layer({ capacity: 100_000 }))
)

const runtime = ManagedRuntime.make(layer)

const { address } = await runtime.runPromise(HttpServer.HttpServer)
if (address._tag === "UnixPathAddress") throw new Error("the server listens on a port")
const { port } = address

const ended = (taskId: string) =>
  Effect.gen(function*() {
    const manager = yield* TaskManager
    const task = yield* manager.get(TaskId.make(taskId))
    yield* Stream.runDrain(yield* manager.events(task.id, { after: task.lastSeq }))
  })

const handlers: Server = {
  port: () => port,
  emit: (emission) => {
    const done = runtime.runPromise(ended(emission.taskId))
    command(emission)
    return done
  },
  resources
}

process.once("SIGTERM", async () => {
  await runtime.dispose()
  process.exit(0)
})

serve(handlers)
