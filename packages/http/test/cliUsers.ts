/** The program `perennial` against a server with users, of whom one is an operator. */
import { UserId } from "@perennial/domain/Ids"
import * as MemoryWebhookStore from "@perennial/domain/MemoryWebhookStore"
import { UserData } from "@perennial/domain/UserData"
import * as NodeServer from "@perennial/http/NodeServer"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import { Context, Effect, Layer, Redacted } from "effect"
import { HttpServer } from "effect/http"
import { perennial } from "./cli.ts"
import { portOf } from "./nodeServer.ts"
import { layerMemory, makeEcho } from "./support.ts"

const users = Tokens.layer([
  { userId: UserId.make("alice"), secret: Redacted.make("alice-secret") },
  { userId: UserId.make("olga"), secret: Redacted.make("olga-secret"), roles: ["operator"] }
])

/** Runs the program with the token of a user, against a server that exports and erases. */
export const make = Effect.gen(function*() {
  const context = yield* Layer.build(
    Server.layer().pipe(
      Layer.provide(UserData.layer),
      Layer.provide([layerMemory(makeEcho()), MemoryWebhookStore.layer, users]),
      Layer.provideMerge(NodeServer.layer({ port: 0 }))
    )
  )
  const server = `http://127.0.0.1:${yield* portOf(Context.get(context, HttpServer.HttpServer))}`
  return (user: string, ...args: ReadonlyArray<string>) =>
    perennial(args, { env: { PERENNIAL_SERVER: server, PERENNIAL_TOKEN: `${user}-secret` } })
})
