/** Reads events in pages, once a second: for what is shown beyond the streams that a browser may hold. */
import { Refused } from "@perennial/http/EventReader"
import * as api from "../api.ts"
import { sleep } from "../sleep.ts"
import { type Place, type PlacedEvent, placeOf, type Source } from "./messages.ts"

const interval = 1_000

/** The stored events of a task after a place, and whether the task has ended with them. */
const pageOf = async (taskId: string, after: Place) => {
  const [lastTask = "", seq] = after.split("/")
  const { ended, events, lastSeq } = await api.events(taskId, lastTask === taskId ? Number(seq) : 0)
  return { events: events.map((event): PlacedEvent => ({ taskId, ...event })), isWhole: ended, lastSeq }
}

/** The task of the conversation that follows the one of a place. */
const nextTask = async (conversationId: string, after: Place): Promise<string | undefined> => {
  const last = after.split("/")[0] || undefined
  const { items } = await api.tasks({ conversationId, order: "oldest", after: last, limit: 1 })
  return items[0]?.id
}

export async function* readPages(
  source: Source,
  { after, signal }: { readonly after: Place; readonly signal: AbortSignal }
): AsyncGenerator<PlacedEvent> {
  const [, kind, name = ""] = source.split("/")
  const id = decodeURIComponent(name)
  const isTask = kind === "tasks"
  let place = after
  let taskId = isTask ? id : after.split("/")[0] || undefined
  for (;;) {
    signal.throwIfAborted()
    try {
      taskId ??= await nextTask(id, place)
      if (taskId !== undefined) {
        const { events, isWhole, lastSeq } = await pageOf(taskId, place)
        for (const event of events) yield event
        const last = events.at(-1)
        if (last !== undefined) place = placeOf(last)
        const isAtEnd = place === placeOf({ taskId, seq: lastSeq })
        if (isWhole && isAtEnd) {
          if (isTask) return
          taskId = undefined
          continue
        }
        if (!isAtEnd) continue
      }
    } catch (error) {
      if (error instanceof api.Problem && error.status < 500) throw new Refused(error.status, { detail: error.message })
    }
    await sleep(interval)
  }
}
