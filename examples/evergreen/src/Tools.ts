/**
 * The tools of this server's agent: two tools that are safe to repeat after a crash, one that is not, and one
 * that a person has to allow.
 */
import * as AgentTools from "@perennial/runtime/AgentTools"
import * as ToolProgress from "@perennial/runtime/ToolProgress"
import { DateTime, Effect, Ref, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"

const CurrentTime = Tool.make("current_time", {
  description: "The current date and time in UTC, as ISO 8601.",
  success: Schema.String
}).annotate(AgentTools.SafeToRepeat, true)

const Wait = Tool.make("wait", {
  description: "Waits for a number of seconds, at most 600, and reports every second how many are left.",
  parameters: Schema.Struct({ seconds: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 600 })) }),
  success: Schema.Struct({ waitedSeconds: Schema.Int })
}).annotate(AgentTools.SafeToRepeat, true)

// Not annotated as safe to repeat: after a crash it is not known whether the note was sent, so it is not sent again (P10).
const SendNote = Tool.make("send_note", {
  description: "Sends a note to the team's board. It cannot be taken back.",
  parameters: Schema.Struct({ text: Schema.NonEmptyString.check(Schema.isMaxLength(1_000)) }),
  success: Schema.Struct({ notesOnBoard: Schema.Int })
})

const Announce = Tool.make("announce", {
  description: "Announces something to everybody. A person has to allow it.",
  parameters: Schema.Struct({
    subject: Schema.NonEmptyString.check(Schema.isMaxLength(100)),
    text: Schema.NonEmptyString.check(Schema.isMaxLength(1_000))
  }),
  success: Schema.Struct({ announced: Schema.String }),
  needsApproval: true
})

const toolkit = Toolkit.make(CurrentTime, Wait, SendNote, Announce)

/** The board keeps the newest notes only. */
const maxNotes = 100

const handlers = toolkit.toLayer(Effect.gen(function*() {
  const board = yield* Ref.make<ReadonlyArray<string>>([])
  return {
    current_time: () => Effect.map(DateTime.now, DateTime.formatIso),
    wait: Effect.fnUntraced(function*({ seconds }) {
      for (let left = seconds; left > 0; left -= 1) {
        yield* ToolProgress.report({ secondsLeft: left })
        yield* Effect.sleep("1 second")
      }
      return { waitedSeconds: seconds }
    }),
    send_note: ({ text }) =>
      Effect.map(
        Ref.updateAndGet(board, (notes) => [...notes, text].slice(-maxNotes)),
        (notes) => ({ notesOnBoard: notes.length })
      ),
    announce: ({ subject, text }) => Effect.succeed({ announced: `${subject}: ${text}` })
  }
}))

export const make: Effect.Effect<AgentTools.AgentTools> = AgentTools.fromToolkit(toolkit).pipe(Effect.provide(handlers))
