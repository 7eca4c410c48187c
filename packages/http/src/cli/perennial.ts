/**
 * The program `perennial`: its commands, and how it ends.
 */
// @effect-diagnostics strictEffectProvide:off
import { Cause, Effect, Layer, Option, Predicate } from "effect"
import { CliConfig, CliError, CliOutput, Command, GlobalFlag, TerminalCapabilities } from "effect/cli"
import * as Completions from "./completions.ts"
import { conversations } from "./conversations.ts"
import { doctor } from "./doctor.ts"
import { exitCodes, Failure, toFailure, toLine } from "./failure.ts"
import { commands as operatorCommands } from "./operators.ts"
import { brief, Output } from "./output.ts"
import { serve } from "./serve.ts"
import { Json } from "./settings.ts"
import { commands } from "./tasks.ts"
import { commands as userCommands } from "./userData.ts"

const [start, watch, cancel, decide, list, show] = commands

const perennial = Command.make("perennial").pipe(
  Command.withDescription("Start, watch and steer the tasks of AI agents, at a server or straight at a store."),
  Command.withSubcommands([
    serve,
    start,
    watch,
    cancel,
    decide,
    list,
    show,
    conversations,
    ...operatorCommands,
    ...userCommands,
    doctor
  ]),
  Command.withGlobalFlags([Json])
)

/** A mistake in the command line is one line, and not the whole help. */
const layerPresenter = Layer.unwrap(Effect.gen(function*() {
  const output = yield* Output
  const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
  const formatter = CliOutput.defaultFormatter({ colors: canColor })
  const print = (text: string) => Effect.ignore(output.write(`${text}\n`))
  return CliOutput.layerPresenter({
    present: (event) => {
      if (event._tag === "Help") return print(formatter.formatHelpDoc(event.helpDoc))
      if (event._tag === "Version") return print(`${event.name} ${event.version}`)
      const wrong = event.errors[0]?.message.replace("Schema validation failed: ", "").replace(/\s+/g, " ").trim() ??
        "The command line is not valid"
      const sentence = /[.?!]$/.test(wrong) ? wrong : `${wrong}.`
      return output.fail(toLine(`${brief(sentence, 200)} See: ${event.commandPath.join(" ")} --help`))
    }
  })
})).pipe(Layer.provide(TerminalCapabilities.layer))

/** Without the wizard: a program that asks questions does not fit into scripts. */
const builtIns = CliConfig.layer({
  builtIns: [
    GlobalFlag.Help,
    GlobalFlag.Version,
    // A server opens a store, and works at no other place.
    Completions.make((command) => command !== serve.name),
    GlobalFlag.LogLevel
  ]
})

const isHelp = (error: unknown): error is CliError.ShowHelp =>
  CliError.isCliError(error) && Predicate.isTagged(error, "ShowHelp")

/** How the program ends after an error. */
const ended = Effect.fnUntraced(function*(cause: Cause.Cause<unknown>) {
  const { fail } = yield* Output
  if (Cause.hasInterruptsOnly(cause)) return yield* Effect.failCause(cause as Cause.Cause<never>)
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (isHelp(error)) {
    return error.errors.length === 0 ? undefined : yield* new Failure({ code: exitCodes.usage })
  }
  // Nobody reads: there is nothing to say, and nothing went wrong.
  if (Predicate.isTagged(error, "OutputClosed")) return
  if (error === undefined) {
    yield* fail(`This is a bug of perennial:\n${Cause.pretty(cause)}`)
    return yield* new Failure({ code: exitCodes.bug })
  }
  const failure = toFailure(error)
  if (failure.line !== undefined) yield* fail(toLine(failure.line))
  return yield* new Failure({ code: failure.code })
})

/** Runs the program with the arguments of the command line. Every failure has been printed when it fails. */
export const run = (args: ReadonlyArray<string>, version: string) =>
  Command.runWith(perennial, { version })(args).pipe(
    Effect.provide([layerPresenter, builtIns]),
    Effect.catchCause(ended)
  )
