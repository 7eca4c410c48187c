/**
 * Perennial's own readers, the typed client and the small `EventReader` of a task and of a conversation, through the proxy before a
 * process. They have to resume exactly, and to notice silence, by themselves.
 */
import { TaskId } from "@perennial/domain/Ids"
import { isTerminal, type StoredEvent } from "@perennial/domain/TaskEvent"
import * as Client from "@perennial/http/Client"
import * as EventReader from "@perennial/http/EventReader"
import { Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { type Reading, toData } from "./observed.ts"
import * as Page from "./page.ts"
import { addressOf, insist } from "./requests.ts"
import { type Run, violated } from "./run.ts"
import type { Slot } from "./world.ts"

export const kinds = ["client", "eventReader", "conversationReader"] as const
export type Kind = typeof kinds[number]

/** A connection that is silent for longer is given up. Calls of tools are silent for longer, too: that costs a connection. */
const maxSilenceMillis = 2_000
const pauseMillis = 100

type See = (stored: StoredEvent) => void

interface Followed {
  readonly taskId: string
  readonly conversationId: string
}

/** Of an `EventReader`. */
const optionsOf = (signal: AbortSignal): Omit<EventReader.Options, "after"> => ({
  signal,
  headers: Page.ofProgram,
  maxSilence: maxSilenceMillis,
  maxFailures: Infinity,
  pause: () => pauseMillis
})

const followers: Record<Kind, (task: Followed, at: Slot, see: See) => Effect.Effect<void, string>> = {
  client: ({ taskId }, at, see) =>
    Effect.gen(function*() {
      const { watch } = yield* Client.PerennialClient
      const events = watch(TaskId.make(taskId), {
        maxSilence: maxSilenceMillis,
        schedule: Schedule.spaced(pauseMillis)
      })
      yield* Stream.runForEach(events, (stored) => Effect.sync(() => see(stored)))
    }).pipe(
      Effect.mapError(String),
      Effect.provide(
        Layer.provide(Client.layer({ baseUrl: addressOf(at, "proxied"), token: Page.token }), FetchHttpClient.layer)
      )
    ),
  eventReader: ({ taskId }, at, see) =>
    Effect.tryPromise({
      try: async (signal) => {
        const url = `${addressOf(at, "proxied")}/tasks/${taskId}/events`
        for await (const stored of EventReader.read(url, optionsOf(signal))) see(stored)
      },
      catch: String
    }),
  /** Reads from the first task of the conversation on, to the end of this one. */
  conversationReader: ({ conversationId, taskId }, at, see) =>
    Effect.tryPromise({
      try: async (signal) => {
        const url = `${addressOf(at, "proxied")}/conversations/${conversationId}/events`
        for await (const { taskId: of, ...stored } of EventReader.readConversation(url, optionsOf(signal))) {
          if (of !== taskId) continue
          see(stored)
          if (isTerminal(stored.event)) return
        }
      },
      catch: String
    })
}

/** Reads a task to its end; what it saw is checked as any reader's is. Resolves with a value that waits for the end. */
export const follow = Effect.fnUntraced(function*(run: Run, taskId: string, kind: Kind, at: Slot) {
  const reader = `${kind} ${at.name}`
  const reading: Reading = { reader, taskId, after: 0, seen: [], connections: 0, ended: false }
  run.readings.push(reading)
  const see: See = (stored) => void reading.seen.push({ id: stored.seq, data: run.intern(toData(stored)) })
  const { body: { conversationId = "" } } = yield* insist(run, { method: "GET", path: `/tasks/${taskId}` }, at)
  const fiber = yield* followers[kind]({ taskId, conversationId }, at, see).pipe(
    Effect.andThen(Effect.sync(() => void (reading.ended = true))),
    Effect.catch((error) => violated(run, "P3", `reader ${reader} of task ${taskId} gave up: ${error}`)),
    Effect.forkScoped
  )
  return { ended: Effect.asVoid(Fiber.await(fiber)) }
})
