/** `TaskRecords` over HTTP: the records of the tasks of a server, for a token with the role `operator`. */
import type { TaskRecord, TaskRecords } from "@perennial/domain/TaskRecords"
import { Effect } from "effect"
import type { Api } from "../Api.ts"
import type { LenientClient } from "./lenientClient.ts"
import { repeated, withoutUndefined } from "./repeated.ts"
import { withTaskErrors } from "./withTaskErrors.ts"

export const makeRemoteRecords = (
  { operator }: Pick<LenientClient<typeof Api>, "operator">
): TaskRecords["Service"] => ({
  records: Effect.fnUntraced(function*({ limit, waiting, ...options }) {
    const cursor = options.order === "oldest" ? "after" : "before"
    const filter = { ...withoutUndefined(options), ...(waiting === true && { waiting: "true" as const }) }
    const found: Array<TaskRecord> = []
    let page = {}
    while (found.length < limit) {
      const query = { ...filter, ...page, limit: Math.min(100, limit - found.length) }
      const { items, next } = yield* operator.records({ query }).pipe(repeated, withTaskErrors("records"))
      for (const record of items) found.push(record)
      if (next === undefined) break
      page = { [cursor]: next }
    }
    return found
  }),
  countRecords: (filter) =>
    operator.counts({ query: withoutUndefined(filter) }).pipe(repeated, withTaskErrors("countRecords")),
  throughput: (filter) =>
    operator.throughput({ query: withoutUndefined(filter) }).pipe(repeated, withTaskErrors("throughput")),
  runners: ({ limit }) =>
    operator.runners().pipe(
      repeated,
      withTaskErrors("runners"),
      Effect.map(({ items }) => items.slice(0, limit))
    )
})
