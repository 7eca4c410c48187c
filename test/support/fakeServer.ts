/**
 * A fake model API as a program: it listens on the port of an environment variable until it is ended.
 */
import { NodeRuntime } from "@effect/platform-node"
import type { ListenError } from "@perennial/runtime/FakeReply"
import { Config, Console, Effect, Layer, Schema } from "effect"

/** A port. 0 means any free port. */
const Port = Schema.NumberFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 0, maximum: 65_535 }))

/** What the scripts of both APIs do. */
export const words = [
  "It calls current_time, and wait if a message says \"wait 5 seconds\". These words in a message make it fail:",
  "  [overloaded] [rate limited] [cut] once, so that a retry succeeds; [refusal] [too long] [silence] always."
]

/** `serve` prints the first lines, and returns. `variable` has the port; `port` is its default. */
export const run = <Api>(options: {
  readonly variable: string
  readonly port: number
  readonly layer: (port: number) => Layer.Layer<Api, ListenError>
  readonly serve: Effect.Effect<void, never, Api>
}): void => {
  const refuse = (why: string) =>
    Effect.andThen(
      Console.error(`The fake API cannot listen on ${options.variable}: ${why}.`),
      Effect.sync(() => {
        process.exitCode = 1
      })
    )
  const server = Layer.unwrap(
    Effect.map(Config.withDefault(Config.schema(Port, options.variable), options.port), options.layer)
  )
  NodeRuntime.runMain(
    Effect.andThen(options.serve, Effect.never).pipe(
      Effect.provide(server),
      Effect.catchTags({
        ConfigError: () => refuse("it is a whole number from 0 (any free port) to 65535"),
        ListenError: ({ reason }) => refuse(reason)
      })
    )
  )
}
