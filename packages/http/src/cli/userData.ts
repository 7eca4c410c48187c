/**
 * The commands about the data of a person.
 */
import { Receipt } from "@perennial/domain/UserData"
import { encodeLine } from "@perennial/domain/UserExport"
import { Effect, Schema, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import { exitCodes, Failure, usage } from "./failure.ts"
import { Output, table, toJson } from "./output.ts"
import * as Place from "./place.ts"
import { Json, place } from "./settings.ts"

const encodeReceipt = Schema.encodeSync(Schema.toCodecJson(Receipt))

const export_ = Command.make("export", {}, () =>
  Effect.gen(function*() {
    const output = yield* Output
    const personal = yield* Place.PersonalData
    let count = 0
    let isComplete = false
    yield* Stream.runForEachArray(personal.export, (lines) => {
      count += lines.length
      isComplete = lines.some(({ type }) => type === "end")
      return Effect.andThen(
        output.write(lines.map(encodeLine).join("")),
        output.progress(`${count} lines exported ...`)
      )
    })
    if (!isComplete) {
      return yield* new Failure({
        code: exitCodes.unreachable,
        line: `The export broke off after ${count} lines: it is not complete. Export again.`
      })
    }
    yield* output.note(`The export is complete: ${count} lines.`)
  })).pipe(
    Command.withDescription("Print everything that is stored of the user, one JSON object on each line."),
    Command.provide(Place.layerOfUser),
    Command.withGlobalFlags(place),
    Command.withExamples([
      { command: "perennial export > me.ndjson", description: "Everything about the user of the token" },
      { command: "perennial export --user alice > alice.ndjson", description: "As an operator, about any user" }
    ])
  )

const deleteUser = Command.make("delete-user", {
  yes: Flag.Boolean("yes").pipe(
    Flag.withDescription("The data are to be erased: nothing brings them back"),
    Flag.withDefault(false)
  )
}, ({ yes }) =>
  Effect.gen(function*() {
    const output = yield* Output
    const { erase, whose } = yield* Place.PersonalData
    if (!yes) {
      return yield* usage(`This cancels every task of ${whose}, and erases all data. Export first, and then add --yes.`)
    }
    yield* output.progress(`Cancelling the tasks of ${whose}, and erasing ...`)
    const receipt = yield* erase
    yield* output.progress("")
    yield* output.write(
      (yield* Json)
        ? `${toJson(encodeReceipt(receipt))}\n`
        : table(Object.entries(receipt).map(([name, count]) => [name, String(count)]))
    )
    yield* output.note(`The data of ${whose} are erased.`)
  })).pipe(
    Command.withDescription("Cancel every task of the user, and erase all data of the user."),
    Command.provide(Place.layerOfUser),
    Command.withGlobalFlags(place)
  )

export const commands = [export_, deleteUser] as const
