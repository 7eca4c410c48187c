/** What several groups of the API have in common: pages, and the descriptions of their parameters. */
import { CancelOptions } from "@perennial/domain/TaskManager"
import { Schema } from "effect"
import { integer } from "./openApi.ts"

/** A page of a list. */
export const page = <S extends Schema.Top, Id extends Schema.Top>(item: S, next: Id) =>
  Schema.Struct({
    items: Schema.Array(item),
    /** Asks for the page that follows, as `before` or `after`; absent on the last page. */
    next: Schema.optionalKey(next)
  })

export const limit = (maximum: number) =>
  Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum })))

/** How long a page may be. */
export const longest = { tasks: 100, conversations: 100, events: 1_000, messages: 1_000, deliveries: 1_000 }

export const describeLimit = (items: keyof typeof longest, usual: number) => ({
  description: `The number of ${items} on a page; ${usual} by default.`,
  schema: integer(1, longest[items])
})

export const describeThroughput =
  "How many tasks began and ended in each minute of the last hour. The last minute is not over. The first minutes are left " +
  "out if more than 50,000 tasks began or ended."

export const describeTask = { description: "The id of the task." }

export const cancelBody = CancelOptions.annotate({ identifier: "Cancel" })

/** An `EventSource` that has seen no id may send an empty one (HTML Standard, section 9.2): it is none. */
export const lastEventId = Schema.optionalKey(Schema.Union([Schema.Natural, Schema.Literal("")]))
