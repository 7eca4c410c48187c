/**
 * Runs the program on Node.js: arguments, signals, the end of pipes, and exit codes.
 */
// @effect-diagnostics strictEffectProvide:off
import { NodeServices } from "@effect/platform-node"
import { Cause, Effect, Exit, FileSystem, Layer, Logger, References, Runtime, Schema } from "effect"
import { Output } from "./output.ts"
import { run } from "./perennial.ts"
import { makeUnsafe, type Signal, Signals } from "./signals.ts"

const Manifest = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

const version = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const text = yield* files.readFileString(new URL("../../package.json", import.meta.url).pathname)
  return (yield* Schema.decodeEffect(Manifest)(text)).version
})

const { deliver, signals } = makeUnsafe()

/** Logs are remarks, too. Only `--log-level` shows more of them than errors. */
const layer = Layer.mergeAll(
  Output.layer,
  Layer.succeed(Signals, signals),
  Layer.succeed(References.MinimumLogLevel, "Error"),
  Layer.succeed(Logger.LogToStderr, true)
).pipe(Layer.provideMerge(NodeServices.layer))

const main = Effect.flatMap(Effect.orDie(version), (version) => run(process.argv.slice(2), version)).pipe(
  Effect.provide(layer)
)

const runMain = Runtime.makeRunMain(({ fiber }) => {
  let ended: Signal | undefined
  const onSignal = (signal: Signal) => {
    if (deliver(signal)) return
    ended ??= signal
    fiber.interruptUnsafe(fiber.id)
  }
  process.on("SIGINT", () => onSignal("SIGINT"))
  process.on("SIGTERM", () => onSignal("SIGTERM"))
  // A reader such as `head` may be gone before the end. Without these listeners a write would end the process with a stack.
  process.stdout.on("error", () => onSignal("SIGPIPE"))
  process.stderr.on("error", () => {})
  fiber.addObserver((exit) => {
    if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) {
      process.exit(ended === "SIGPIPE" ? 0 : ended === "SIGTERM" ? 143 : 130)
    }
    Runtime.defaultTeardown(exit, (code) => process.exit(code))
  })
})

runMain(main)
