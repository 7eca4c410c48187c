/**
 * The flags that many commands share. Each may stand before or after the name of the command.
 */
import { UserId } from "@perennial/domain/Ids"
import { Flag, GlobalFlag } from "effect/cli"

export const Json = GlobalFlag.Setting("json")({
  flag: Flag.Boolean("json").pipe(
    Flag.withDefault(false),
    Flag.withDescription("Print JSON: one document, or one line for each event")
  )
})

export const Server = GlobalFlag.Setting("server")({
  flag: Flag.String("server").pipe(
    Flag.withMetavar("URL"),
    Flag.withDescription("The server; default: PERENNIAL_SERVER, else http://127.0.0.1:3000"),
    Flag.optional
  )
})

export const TokenFile = GlobalFlag.Setting("token-file")({
  flag: Flag.String("token-file").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("A file with the token for the server; default: the variable PERENNIAL_TOKEN"),
    Flag.optional
  )
})

export const Store = GlobalFlag.Setting("store")({
  flag: Flag.String("store").pipe(
    Flag.withMetavar("STORE"),
    Flag.withDescription("Use this store directly, without a server: sqlite:<path>, postgres://... or redis://..."),
    Flag.optional
  )
})

export const User = GlobalFlag.Setting("user")({
  flag: Flag.String("user").pipe(
    Flag.withSchema(UserId),
    Flag.withMetavar("ID"),
    Flag.withDescription("With --store: the user whose tasks are meant, default: local"),
    Flag.optional
  )
})

/** Where the tasks are. */
export const place = [Server, TokenFile, Store, User] as const
