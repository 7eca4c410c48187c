/**
 * A client of a server, such as the server of `npx -y pnpm@12.21.0 start`. The program is the same as in process: only the
 * layer that provides `TaskManager` differs.
 *
 *     npx -y pnpm@12.21.0 exec node examples/src/client.ts http://127.0.0.1:3000
 */
import { NodeRuntime } from "@effect/platform-node"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as Client from "@perennial/http/Client"
import { Console, Effect, Layer, Stream } from "effect"
import { FetchHttpClient } from "effect/http"

const program = Effect.gen(function*() {
  const tasks = yield* TaskManager
  const { id } = yield* tasks.start({ message: "Hello" })
  yield* Stream.runForEach(yield* tasks.events(id), ({ event, seq }) => Console.log(seq, event))
})

const live = Client.layerTaskManager({ baseUrl: process.argv[2] ?? "http://127.0.0.1:3000" }).pipe(
  Layer.provide(FetchHttpClient.layer)
)

NodeRuntime.runMain(Effect.provide(program, live))
