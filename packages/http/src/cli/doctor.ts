/**
 * The command that checks settings, versions, clocks, and the server or the store, and says what is wrong.
 */
import { RunnerId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import {
  Clock,
  ConfigProvider,
  Context,
  Duration,
  Effect,
  FileSystem,
  Layer,
  Option,
  Predicate,
  Schema,
  Stream
} from "effect"
import { Command } from "effect/cli"
import { FetchHttpClient, HttpClient } from "effect/http"
import { OpenApi } from "effect/http-api"
import { Api } from "../Api.ts"
import * as Client from "../Client.ts"
import * as ListenConfig from "../ListenConfig.ts"
import * as SettingNames from "../SettingNames.ts"
import { exitCodes, Failure, toFailure } from "./failure.ts"
import { brief, Output, table, toJson } from "./output.ts"
import { load } from "./packages.ts"
import { serverUrl, token } from "./server.ts"
import { Json, place, Store } from "./settings.ts"

/** `warning`: it works, and somebody should look at it. */
interface Check {
  readonly name: string
  readonly state: "ok" | "warning" | "wrong"
  readonly detail: string
}

const ok = (detail: string) => ({ state: "ok" as const, detail })
const warning = (detail: string) => ({ state: "warning" as const, detail })
const wrong = (detail: string) => ({ state: "wrong" as const, detail })

/** An error is what the check found. */
const check = <E, R>(name: string, look: Effect.Effect<Omit<Check, "name">, E, R>): Effect.Effect<Check, never, R> =>
  Effect.match(look, {
    onFailure: (error): Check => ({ name, ...wrong(toFailure(error).message) }),
    onSuccess: (found): Check => ({ name, ...found })
  })

/** Tokens and signatures are refused from about this difference on. */
const tolerated = Duration.seconds(5)

const compareClocks = (theirs: number, ours: number, whose: string) => {
  const difference = Math.round((theirs - ours) / 1_000)
  // The time of a server has no parts of a second.
  const detail = Math.abs(difference) <= 1
    ? `The clock of ${whose} agrees with this machine's.`
    : `The clock of ${whose} differs by ${Math.abs(difference)} s from this machine's.`
  return Math.abs(theirs - ours) <= Duration.toMillis(tolerated) + 1_000
    ? ok(detail)
    : warning(`${detail} Tokens and signatures may be refused: set both clocks.`)
}

const Manifest = Schema.fromJsonString(Schema.Struct({ name: Schema.String, version: Schema.String }))

/** The packages of Perennial have one version. */
const versions = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const versionOf = Effect.fnUntraced(function*(name: string) {
    const url = yield* Effect.try({
      try: () => new URL(import.meta.resolve(`${name}/package.json`)),
      catch: () => undefined
    })
    return yield* Effect.flatMap(files.readFileString(url.pathname), Schema.decodeEffect(Manifest))
  })
  const names = ["@perennial/http", "@perennial/domain", "@perennial/runtime", "@perennial/backends", "effect"]
  const found = (yield* Effect.forEach(names, (name) => Effect.option(versionOf(name)))).flatMap(Option.toArray)
  const detail = found.map(({ name, version }) => `${name} ${version}`).join(", ")
  const ours = new Set(found.filter(({ name }) => name.startsWith("@perennial/")).map(({ version }) => version))
  return ours.size > 1 ? wrong(`The packages of Perennial have different versions: ${detail}.`) : ok(detail)
})

/** The names of the variables of the environment below a part of a name. */
const namesBelow = (
  provider: ConfigProvider.ConfigProvider,
  path: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<string>, ConfigProvider.SourceError> =>
  Effect.flatMap(provider.load(path), (node) => {
    const own = node?.value === undefined ? [] : [path.join("_")]
    if (node?._tag !== "Record") return Effect.succeed(own)
    const below = Effect.forEach([...node.keys], (key) => namesBelow(provider, [...path, key]))
    return Effect.map(below, (names) => [...own, ...names.flat()])
  })

/** The variables of servers, of this program and of Perennial's own tests. */
const isRead = (name: string): boolean =>
  name === "PERENNIAL_SERVER" || name === "PERENNIAL_TOKEN" || name.startsWith("PERENNIAL_TEST_")

const settings = Effect.gen(function*() {
  const { host, port, tokens } = yield* ListenConfig.config
  const names = yield* namesBelow(yield* ConfigProvider.ConfigProvider, [])
  const users = tokens.length === 0 ? "without users" : `with ${tokens.length} tokens`
  return Option.match(SettingNames.misspelt(names.filter((name) => !isRead(name))), {
    onNone: () => ok(`A server here would listen on ${host}:${port}, ${users}.`),
    onSome: warning
  })
}).pipe(
  Effect.mapError((error) =>
    new Failure({ code: exitCodes.usage, line: error._tag === "ConfigError" ? error.cause.message : error.message })
  )
)

/** The paths of this version that a server does not have. */
const missingPaths = (document: unknown): ReadonlyArray<string> => {
  const paths = Predicate.hasProperty(document, "paths") && Predicate.isObject(document.paths) ? document.paths : {}
  return Object.keys(OpenApi.fromApi(Api).paths).filter((path) => !Object.hasOwn(paths, path))
}

const serverChecks = Effect.gen(function*() {
  const url = yield* serverUrl
  const secret = yield* token
  const http = yield* HttpClient.HttpClient
  const client = Context.get(
    yield* Layer.build(Client.layer({ baseUrl: url, token: Option.getOrUndefined(secret) })),
    Client.PerennialClient
  )
  const begin = yield* Clock.currentTimeMillis
  const answer = yield* Effect.exit(Effect.timeout(http.get(`${url}/health`), "10 seconds"))
  const end = yield* Clock.currentTimeMillis
  if (answer._tag === "Failure") {
    const look = check("server", Effect.failCause(answer.cause))
    return [{ ...(yield* look), name: "server" }]
  }
  const { headers, status } = answer.value
  if (status !== 200) {
    return [{ name: "server", ...wrong(`${url}/health answered ${status}: this is no server of Perennial.`) }]
  }
  return yield* Effect.all([
    Effect.succeed({ name: "server", ...ok(`${url} answered in ${end - begin} ms.`) }),
    check("ready", Effect.as(client.system.ready(), ok("The server takes requests."))),
    check(
      "api",
      Effect.gen(function*() {
        const response = yield* http.get(`${url}/openapi.json`)
        if (response.status !== 200) {
          return warning(`The server shows no OpenAPI document: it answered ${response.status}.`)
        }
        const missing = missingPaths(yield* response.json)
        return missing.length === 0
          ? ok("The server has every endpoint of this version.")
          : warning(`The server is older or newer than this program: it does not have ${missing.join(", ")}.`)
      })
    ),
    check(
      "token",
      Effect.as(
        client.tasks.list({ query: { limit: 1 } }),
        ok(Option.isNone(secret) ? "The server wants no token." : "The server accepts the token.")
      )
    ),
    check(
      "streams",
      client.watchFeed({}).pipe(
        Stream.runHead,
        Effect.timeoutOption("5 seconds"),
        Effect.map((first) =>
          Option.isSome(first)
            ? ok("Events arrive at once.")
            : wrong(
              "No event arrived in 5 seconds: a proxy may hold streams back. See docs/operations.md, Behind a proxy."
            )
        )
      )
    ),
    Effect.succeed({
      name: "clock",
      ...(headers["date"] === undefined
        ? warning("The server does not say what time it has.")
        : compareClocks(globalThis.Date.parse(headers["date"]), (begin + end) / 2, "the server"))
    })
  ])
}).pipe(Effect.scoped)

const storeChecks = Effect.fnUntraced(function*(given: string) {
  const StoreSetting = yield* load("@perennial/backends", () => import("@perennial/backends/StoreSetting"))
  const setting = StoreSetting.parse(given)
  if (Option.isNone(setting)) {
    return [{
      name: "store",
      ...wrong(`--store ${StoreSetting.withoutPassword(given)} is not valid. Accepted: ${StoreSetting.accepted}.`)
    }]
  }
  const name = StoreSetting.format(setting.value)
  const begin = yield* Clock.currentTimeMillis
  return yield* Effect.gen(function*() {
    const store = yield* Layer.build(StoreSetting.layer(setting.value, { applicationName: "perennial doctor" }))
    const opened = yield* Clock.currentTimeMillis
    const backend = Context.get(store, TaskBackend)
    const { now } = yield* backend.heartbeat(RunnerId.make("perennial doctor"), Duration.zero)
    const written = yield* Clock.currentTimeMillis
    const heads = yield* backend.unowned({ limit: 1_000 })
    return [
      { name: "store", ...ok(`${name} was opened in ${opened - begin} ms, and its tables are up to date.`) },
      { name: "writes", ...ok(`A write took ${written - opened} ms.`) },
      {
        name: "tasks",
        ...(heads.length === 0
          ? ok("No task waits for a process.")
          : warning(
            `${
              heads.length === 1_000 ? "1000 or more" : heads.length
            } tasks wait for a process that executes them: is a server running?`
          ))
      },
      { name: "clock", ...compareClocks(now, (opened + written) / 2, "the store") }
    ] satisfies ReadonlyArray<Check>
  }).pipe(
    Effect.scoped,
    Effect.catch((error) =>
      Effect.succeed([{ name: "store", ...wrong(`${name} cannot be used: ${StoreSetting.reasonOf(error)}.`) }])
    )
  )
})

const marks = { ok: "ok", warning: "warning", wrong: "WRONG" } as const

export const doctor = Command.make("doctor", {}, () =>
  Effect.gen(function*() {
    const output = yield* Output
    const store = yield* Store
    yield* output.progress("Checking ...")
    const own = yield* Effect.all([check("versions", versions), check("settings", settings)])
    const place = yield* Option.match(store, { onNone: () => serverChecks, onSome: storeChecks }).pipe(
      Effect.catch((error) => Effect.succeed([{ name: "place", ...wrong(toFailure(error).message) }]))
    )
    const checks: ReadonlyArray<Check> = [...own, ...place]
    yield* output.progress("")
    const isWell = checks.every(({ state }) => state !== "wrong")
    yield* output.write(
      (yield* Json)
        ? `${toJson({ ok: isWell, checks })}\n`
        : table(checks.map(({ detail, name, state }) => [marks[state], name, brief(detail, 300)]))
    )
    if (!isWell) return yield* new Failure({ code: exitCodes.notCompleted })
  })).pipe(
    Command.withDescription("Check settings, versions, clocks, and the server or the store, and say what is wrong."),
    Command.provide(FetchHttpClient.layer),
    Command.withGlobalFlags(place)
  )
