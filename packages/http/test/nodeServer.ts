/**
 * Servers on Node.js. Several servers, one after the other, can serve the same task manager.
 */
import type { Authorization } from "@perennial/http/Authorization"
import * as NodeServer from "@perennial/http/NodeServer"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { HttpServer } from "effect/http"
import { type Echo, layerMemory } from "./support.ts"

/** A task manager in memory. It lives until the scope ends, longer than the servers that use it. */
export const makeManager = (echo: Echo) =>
  Effect.map(Layer.build(layerMemory(echo)), (context) => Layer.succeedContext(context))

export const portOf = (server: HttpServer.HttpServer["Service"]) =>
  Effect.sync(() => "port" in server.address ? Number(server.address.port) : 0)

export const serve = Effect.fnUntraced(function*(
  manager: Layer.Layer<Layer.Success<ReturnType<typeof layerMemory>>>,
  options?: Server.Options & Partial<NodeServer.Options>,
  auth: Layer.Layer<Authorization, Tokens.NotLoopback, HttpServer.HttpServer> = Tokens.layerLocal
) {
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const context = yield* Layer.buildWithScope(
    Server.layer({ retry: "10 millis", ...options }).pipe(
      Layer.provide([manager, auth]),
      Layer.provideMerge(NodeServer.layer({ port: 0, ...options }))
    ),
    scope
  )
  const port = yield* portOf(Context.get(context, HttpServer.HttpServer))
  return { port, close: Scope.close(scope, Exit.void) }
})
