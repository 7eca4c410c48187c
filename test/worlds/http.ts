/**
 * The API over HTTP without sockets: a request runs as a fiber of the process that serves it. Building the routes takes long, so
 * that all processes of a thread have them in common.
 */
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Authorization } from "@perennial/http/Authorization"
import * as Server from "@perennial/http/Server"
import * as Sse from "@perennial/http/Sse"
import { Context, Effect, Fiber, Layer, Scope } from "effect"
import {
  type HttpClientRequest,
  type HttpClientResponse,
  HttpEffect,
  HttpRouter,
  HttpServer,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"

/** Serves one request. It ends when the whole response is written. */
export type Handler = (
  request: HttpClientRequest.HttpClientRequest,
  respond: (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<void>
) => Effect.Effect<void>

/** What the process that serves a request provides. */
interface Serving {
  readonly manager: TaskManager["Service"]
  readonly store: ConversationStore["Service"]
  readonly streams: Sse.EventStreams["Service"]
}

class CurrentServing extends Context.Service<CurrentServing, Serving>()("test/worlds/CurrentServing") {}

/** What serves the request of the present fiber. Every request has it. */
const serving = (): Serving => Context.getUnsafe(Fiber.getCurrent()?.context ?? Context.empty(), CurrentServing)

type Member = Effect.Effect<unknown> | ((...args: ReadonlyArray<unknown>) => Effect.Effect<unknown>)

/** A service whose members are those of the process that serves the request. `values`: the members that are no functions. */
const ofServing = <S extends object>(service: () => S, values: ReadonlyArray<keyof S & string>): S => {
  const names: ReadonlyArray<string> = values
  // Each member of these services returns an effect, or is one.
  const call = (name: string, args: ReadonlyArray<unknown>) => {
    const member = Reflect.get(service(), name) as Member
    return typeof member === "function" ? member(...args) : member
  }
  const get = (_: object, name: string): Member =>
    names.includes(name)
      ? Effect.suspend(() => call(name, []))
      : (...args) => Effect.suspend(() => call(name, args))
  // A member of the same name has the same type.
  return new Proxy({}, { get }) as S
}

const streams: Sse.EventStreams["Service"] = {
  admit: Effect.suspend(() => serving().streams.admit),
  response: (events, options) => serving().streams.response(events, options),
  drain: Effect.suspend(() => serving().streams.drain),
  draining: Effect.suspend(() => serving().streams.draining),
  open: Effect.suspend(() => serving().streams.open)
}

/** All requests come from the default user. */
const layerAuthorization = Layer.succeed(Authorization, {
  bearer: (handler) => handler,
  query: (handler) => handler,
  cookie: (handler) => handler
})

// The page for people is loaded by a promise, which would leave the order of the world.
const routes = Server.layerRoutes({ docs: false }).pipe(Layer.provide([
  Layer.succeed(TaskManager, ofServing(() => serving().manager, ["running", "agents"])),
  Layer.succeed(ConversationStore, ofServing(() => serving().store, [])),
  Layer.succeed(Sse.EventStreams, streams),
  layerAuthorization,
  HttpServer.layerServices
]))

// Built outside of all worlds: handlers keep the services of their build, which must not include the scheduler of a world.
const handler = await Effect.runPromise(Scope.provide(HttpRouter.toHttpEffect(routes), Scope.makeUnsafe()))

/** The API over the services of a process. */
export const makeHandler: Effect.Effect<Handler, never, TaskManager | ConversationStore | Scope.Scope> = Effect.gen(
  function*() {
    const manager = yield* TaskManager
    const store = yield* ConversationStore
    const services = yield* Layer.build(Layer.provideMerge(Sse.layerDrain, Sse.layer()))
    const streams = Context.get(services, Sse.EventStreams)
    return (request, respond) =>
      HttpEffect.toHandled(
        handler,
        (_, response) => Effect.interruptible(respond(HttpServerResponse.toClientResponse(response, { request })))
      ).pipe(
        Effect.provideService(CurrentServing, { manager, store, streams }),
        Effect.provideService(HttpServerRequest.HttpServerRequest, HttpServerRequest.fromClientRequest(request)),
        Effect.orDie
      )
  }
)
