/**
 * The scripts that complete commands and flags in a shell. Those of effect leave out the flags that commands share.
 */
import { Console, Effect, Option, Struct } from "effect"
import { Command, Completions as Shells, GlobalFlag } from "effect/cli"
import { Json, place } from "./settings.ts"

const asked = { help: GlobalFlag.Help.flag, "log-level": GlobalFlag.LogLevel.flag, json: Json.flag }

const flagsOf = (command: Command.Command.Any): ReadonlyArray<Shells.FlagDescriptor> =>
  Shells.fromCommand(command).flags

const everywhere = flagsOf(Command.make("everywhere", asked))
const first = flagsOf(
  Command.make("first", { version: GlobalFlag.Version.flag, completions: GlobalFlag.Completions.flag })
)
const [Server, TokenFile, Store, User] = place
const atPlace = flagsOf(
  Command.make("place", { server: Server.flag, tokenFile: TokenFile.flag, store: Store.flag, user: User.flag })
)

/** `isPlaced` says which commands work at a place. */
const withShared = (
  program: Shells.CommandDescriptor,
  isPlaced: (command: string) => boolean
): Shells.CommandDescriptor =>
  Struct.evolve(program, {
    flags: (own) => [...own, ...everywhere, ...first, ...atPlace],
    subcommands: (commands) =>
      commands.map((command) => ({
        ...command,
        flags: [...command.flags, ...everywhere, ...(isPlaced(command.name) ? atPlace : [])]
      }))
  })

/** The flag `--completions`, for the program whose commands are placed. */
export const make = (isPlaced: (command: string) => boolean): typeof GlobalFlag.Completions => ({
  ...GlobalFlag.Completions,
  run: (shell, { command }) =>
    Option.match(shell, {
      onNone: () => Effect.void,
      onSome: (shell) =>
        Console.log(Shells.generate(command.name, shell, withShared(Shells.fromCommand(command), isPlaced)))
    })
})
