/** The versions of messages that were edited or answered again, in the rows of a conversation. */
import type { Message } from "../api.ts"
import type { Open } from "./conversation.ts"
import { type Row, rowsOf, storedRows } from "./rows.ts"

/** The versions of a message, the oldest first. */
const versionsOf = (id: string, byId: ReadonlyMap<string, Message>): ReadonlyArray<string> => {
  const versions = [id]
  for (let one = byId.get(id)?.replaces; one !== undefined && !versions.includes(one); one = byId.get(one)?.replaces) {
    if (byId.has(one)) versions.unshift(one)
  }
  return versions
}

/** The rows with the versions of each message. An earlier version is shown with its answer, and without what comes later. */
const withVersions = (rows: ReadonlyArray<Row>, { earlier, messages, replaced }: Open): ReadonlyArray<Row> => {
  if (replaced.length === 0) return rows
  const byId = new Map<string, Message>([...replaced, ...messages].map((message) => [message.id, message]))
  const shown: Array<Row> = []
  for (const row of rows) {
    if (row.kind !== "user" || row.id === undefined) {
      shown.push(row)
      continue
    }
    const versions = versionsOf(row.id, byId)
    if (versions.length === 1) shown.push(row)
    else shown.push({ ...row, versions })
    if (earlier?.of !== row.id) continue
    shown.pop()
    const old = storedRows(replaced.filter(({ taskId }) => taskId === byId.get(earlier.shown)?.taskId))
    for (const one of old) {
      if (one.kind === "user") shown.push({ ...one, versions })
      else if (one.kind !== "end") shown.push(one)
    }
    return [...shown, { kind: "earlier", key: `${earlier.shown}.earlier`, of: row.id }]
  }
  return shown
}

/** The rows of a conversation as the person wants to see them. */
export const shownRows = (open: Open): ReadonlyArray<Row> => withVersions(rowsOf(open), open)
