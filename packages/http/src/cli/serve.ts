/**
 * The command that serves: a store, agents, and the API.
 */
import { UserData } from "@perennial/domain/UserData"
import { Config, ConfigProvider, Console, Effect, Layer, Logger, Option, Queue, Record } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { HttpServer } from "effect/http"
import * as Agents from "./agents.ts"
import { exitCodes, Failure, toFailure, usage, whyTransport, withFailure } from "./failure.ts"
import { Output, toJson } from "./output.ts"
import { load } from "./packages.ts"
import { Json } from "./settings.ts"
import { Signals } from "./signals.ts"

const defaultStore = "sqlite:.perennial/perennial.db"

/** A line for people. With `--json` it is a remark: the standard output has JSON alone. */
const say = Effect.fnUntraced(function*(line: string) {
  const { note } = yield* Output
  yield* (yield* Json) ? note(line) : Console.log(line)
})

/** The store, by its flag, its variable or the default. */
const layerStore = (flag: Option.Option<string>) =>
  Layer.unwrap(Effect.gen(function*() {
    const StoreSetting = yield* load("@perennial/backends", () => import("@perennial/backends/StoreSetting"))
    const variable = (yield* Effect.orDie(Config.withDefault(Config.String("PERENNIAL_STORE"), ""))).trim()
    const given = Option.getOrElse(flag, () => variable === "" ? defaultStore : variable)
    const setting = StoreSetting.parse(given)
    const name = Option.isSome(flag) ? "--store " : "PERENNIAL_STORE="
    if (Option.isNone(setting)) {
      return yield* usage(
        `${name}${StoreSetting.withoutPassword(given)} is not valid. Accepted: ${StoreSetting.accepted}.`
      )
    }
    const shown = StoreSetting.format(setting.value)
    yield* say(`Tasks and conversations are in ${shown}.`)
    return withFailure(StoreSetting.layer(setting.value), (error) =>
      new Failure({
        code: exitCodes.unreachable,
        line: `${name}${shown} cannot be used: ${StoreSetting.reasonOf(error).replace(/\.$/, "")}.`
      }))
  }))

const layerServer = Layer.unwrap(Effect.gen(function*() {
  const NodeServer = yield* load("@effect/platform-node", () => import("../NodeServer.ts"))
  return NodeServer.layerConfig({ handOver: true })
}))

const layerRuntime = Layer.unwrap(
  Effect.map(
    load("@perennial/runtime", () => import("@perennial/runtime/TaskRuntime")),
    (TaskRuntime) => TaskRuntime.layer
  )
)

const layerRetention = Layer.unwrap(
  Effect.map(
    load("@perennial/runtime", () => import("@perennial/runtime/Retention")),
    (Retention) => Retention.layer()
  )
)

const greeting = Layer.effectDiscard(Effect.gen(function*() {
  const address = HttpServer.formatAddress((yield* HttpServer.HttpServer).address)
  if (yield* Json) return yield* (yield* Output).write(`${toJson({ address, docs: `${address}/docs` })}\n`)
  yield* Console.log(
    `Perennial listens on ${address}, documentation on ${address}/docs. In another terminal:\n`
      + `  perennial start "Hello" --server ${address}`
  )
}))

export const serve = Command.make("serve", {
  agents: Argument.String("module").pipe(
    Argument.withDescription(
      "A module whose default export is a Layer of Agents; default: one assistant with the model of"
        + " PERENNIAL_MODEL, or a scripted demo if there is no key"
    ),
    Argument.optional
  ),
  store: Flag.String("store").pipe(
    Flag.withMetavar("STORE"),
    Flag.withDescription(`Default: PERENNIAL_STORE, else ${defaultStore}`),
    Flag.optional
  ),
  host: Flag.String("host").pipe(Flag.withDescription("Default: HOST, else 127.0.0.1"), Flag.optional),
  port: Flag.String("port").pipe(Flag.withDescription("Default: PORT, else 3000; 0 is any free port"), Flag.optional)
}, ({ agents, host, port, store }) =>
  Effect.scoped(Effect.gen(function*() {
    const { listen } = yield* Signals
    const signals = yield* listen
    const notice = Option.isSome(agents) ? Option.none<string>() : yield* Agents.notice
    if (Option.isSome(notice)) yield* say(notice.value)
    const flags = ConfigProvider.fromEnv({ env: Record.getSomes({ HOST: host, PORT: port }) })
    const served = greeting.pipe(
      Layer.provide(layerServer),
      Layer.provide(UserData.layer),
      Layer.provide(layerRuntime),
      Layer.merge(layerRetention),
      Layer.provide(Agents.layer(agents)),
      Layer.provide(layerStore(store)),
      Layer.provide(ConfigProvider.layerAdd(flags, { asPrimary: true })),
      Layer.provide(Logger.layer([Logger.consolePretty({ formatDate: (date) => date.toISOString() })]))
    )
    // A signal is the usual end of a server: its tasks have been handed over when the program ends.
    yield* Effect.raceFirst(Layer.launch(served), Queue.take(signals))
  })).pipe(Effect.mapError((error) => {
    if (error instanceof Failure) return error
    if (error._tag === "ServeError") {
      return new Failure({
        code: exitCodes.unreachable,
        line: `The server cannot listen: ${whyTransport(error.cause)}. Set another address with --host or --port.`
      })
    }
    return error._tag === "ConfigError" ? usage(error.cause.message) : usage(toFailure(error).message)
  }))).pipe(
    Command.withDescription("Serve the API over a store, and execute tasks. docs/configuration.md lists the settings."),
    Command.withExamples([
      { command: "perennial serve", description: "A scripted demo on SQLite" },
      { command: "perennial serve ./agents.ts --store postgres://127.0.0.1/perennial", description: "Your agents" }
    ])
  )
