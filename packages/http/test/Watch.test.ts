import * as Client from "@perennial/http/Client"
import { Effect, Layer, Schedule, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { overSockets, overTime } from "./watchContract.ts"

const soon = { schedule: Schedule.spaced("5 millis").pipe(Schedule.upTo({ times: 1000 })) }

const watchOf = Effect.map(Client.PerennialClient, ({ watch }) => watch)

overSockets(
  "the typed client",
  (port) =>
    Layer.build(Client.layer({ baseUrl: `http://127.0.0.1:${port}` }).pipe(Layer.provide(FetchHttpClient.layer))).pipe(
      Effect.flatMap((context) => Effect.provide(watchOf, context)),
      Effect.map((watch) => (id, options) =>
        Stream.map(watch(id, { ...options, ...soon }), ({ event, seq }) => ({ seq, event }))
      )
    )
)

overTime("the typed client", {
  over: (answer) => {
    const http = HttpClient.make((request) =>
      Effect.map(answer(request.headers["last-event-id"]), (response) => HttpClientResponse.fromWeb(request, response))
    )
    return Effect.provide(
      watchOf,
      Client.layer({ baseUrl: "http://test" }).pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, http)))
    )
  },
  advance: (duration) => TestClock.adjust(duration)
})
