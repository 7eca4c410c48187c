/** Reads the events of a task in pages, once a second: for tasks beyond the streams that a browser may hold. */
import { type NumberedEvent, type Options, Refused } from "@perennial/http/EventReader"
import * as api from "../api.ts"
import { sleep } from "../sleep.ts"

const interval = 1_000

export async function* readPages(url: string, { after = 0, signal }: Options): AsyncGenerator<NumberedEvent> {
  const taskId = decodeURIComponent(url.split("/")[2] ?? "")
  for (let cursor = after;;) {
    signal?.throwIfAborted()
    try {
      const { ended, events, lastSeq } = await api.events(taskId, cursor)
      for (const event of events) yield event
      cursor = events.at(-1)?.seq ?? cursor
      if (ended && cursor === lastSeq) return
      if (cursor < lastSeq) continue
    } catch (error) {
      if (error instanceof api.Problem && error.status < 500) throw new Refused(error.status, { detail: error.message })
    }
    await sleep(interval)
  }
}
