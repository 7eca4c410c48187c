/**
 * Each follower saw its conversation: all events of its tasks, in the order in which the tasks were accepted, every event once (P3,
 * P5). A deletion ends what it followed.
 */
import { placeOf } from "@perennial/domain/EventPlace"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Equal } from "effect"
import type { Following } from "../followers.ts"
import type { Observed } from "../world.ts"
import type { Broken } from "./violation.ts"

export const checkFollowers = (observed: Observed, broken: Broken): void => {
  for (const following of observed.followings) check(following, observed, broken)
}

const check = (following: Following, observed: Observed, broken: Broken): void => {
  const { conversation, early, failures, gone, seen } = following
  const say = (promise: string, what: string) => broken(promise, `a follower of ${conversation} ${what}`, conversation)
  if (failures.length > 0) say("P3", `was cut off by ${failures.join()}`)
  if (early > 0) say("P5", `saw ${early} events before they were durable`)
  const isDeleted = observed.history.calls.some((call) =>
    call.act.type === "delete" && call.conversation === conversation
  )
  if (gone && !isDeleted) say("P3", "was told that the conversation does not exist")
  // It followed the conversation since its beginning, or since it was created again after a deletion.
  const wrong = eventsOf(conversation, observed).map((events) => wrongAt(seen, events))
  if (seen.length > 0 && !wrong.includes(-1)) {
    const at = Math.max(...wrong)
    const { seq, taskId } = placeOf(seen[at] as StoredEvent)
    say("P3", `saw ${taskId}/${seq} as its event ${at + 1}, where the logs have another one`)
  }
}

/** Where what was seen differs from the beginning of these events; -1 if it does not. */
const wrongAt = (seen: ReadonlyArray<StoredEvent>, events: ReadonlyArray<StoredEvent>): number =>
  seen.findIndex((stored, i) => {
    const event = events[i]
    return stored !== event && (stored.seq !== event?.seq || !Equal.equals(stored.event, event.event))
  })

/** The events of all tasks of a conversation, in the order in which they were accepted: since its beginning, and since each deletion. */
const eventsOf = (conversation: string, { commits, tasks }: Observed): ReadonlyArray<ReadonlyArray<StoredEvent>> => {
  const lives: Array<Array<StoredEvent>> = [[]]
  const accepted = new Set<string>()
  for (const commit of commits) {
    if (commit.method === "deleteConversation" && commit.args[0].conversationId === conversation) lives.push([])
    if (commit.method !== "create" || commit.args[0].conversationId !== conversation) continue
    const { id } = commit.args[0]
    const kept = tasks.get(id)
    // A repeated request finds the task of the first.
    if (kept === undefined || accepted.has(id)) continue
    accepted.add(id)
    lives.at(-1)?.push(...kept.log)
  }
  return lives
}
