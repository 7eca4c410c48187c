/**
 * A reader of event streams that is independent of Perennial's client.
 */
import { assert } from "@effect/vitest"
import { Cause, Effect, Queue, type Scope } from "effect"
import { type IncomingMessage, request } from "node:http"

/** A received frame. */
export interface Seen {
  readonly id: number
  readonly data: { readonly type: string; readonly [key: string]: unknown }
}

export interface Connection {
  readonly status: number
  /** The next event. Fails with `"end"` after the last event, and with `"cut"` when the connection was cut. */
  readonly next: Effect.Effect<Seen, "end" | "cut">
  /** Stops reading from the socket. The buffers of the kernel fill, and then those of the server. */
  readonly stall: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}

export interface Options {
  /** The header `Last-Event-ID`. */
  readonly after?: number | undefined
  readonly token?: string | undefined
}

const parse = (frame: string): Seen | undefined => {
  const lines = frame.split("\n")
  const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2)
  const data = field("data")
  return data === undefined ? undefined : { id: Number(field("id")), data: JSON.parse(data) }
}

const receive = (response: IncomingMessage, events: Queue.Queue<Seen, "end" | "cut">): void => {
  let rest = ""
  response.setEncoding("utf8")
  response.on("data", (chunk: string) => {
    const frames = (rest + chunk).split("\n\n")
    rest = frames.pop() ?? ""
    for (const frame of frames) {
      const seen = parse(frame)
      if (seen !== undefined) Queue.offerUnsafe(events, seen)
    }
  })
  response.on("end", () => Queue.failCauseUnsafe(events, Cause.fail("end" as const)))
  response.on("error", () => Queue.failCauseUnsafe(events, Cause.fail("cut" as const)))
}

/** Connects. The connection is closed when the scope closes. */
export const connect = (url: string, options?: Options): Effect.Effect<Connection, "cut", Scope.Scope> =>
  Effect.gen(function*() {
    // The queue is bounded by the number of events of the test.
    const events = yield* Queue.unbounded<Seen, "end" | "cut">()
    const headers = {
      accept: "text/event-stream",
      ...(options?.after === undefined ? {} : { "last-event-id": String(options.after) }),
      ...(options?.token === undefined ? {} : { authorization: `Bearer ${options.token}` })
    }
    const sent = yield* Effect.acquireRelease(
      Effect.sync(() => request(url, { agent: false, headers })),
      (sent) => Effect.sync(() => sent.destroy())
    )
    // A callback can be interrupted, so that a test may give up waiting for an answer.
    const response = yield* Effect.callback<IncomingMessage, "cut">((resume) => {
      sent.on("response", (response) => {
        receive(response, events)
        resume(Effect.succeed(response))
      })
      sent.on("error", () => resume(Effect.fail("cut")))
      sent.end()
    })
    return {
      status: response.statusCode ?? 0,
      next: Queue.take(events),
      stall: Effect.sync(() => response.pause()),
      resume: Effect.sync(() => response.resume())
    }
  })

/** Reads up to the first event that satisfies the predicate, and includes it. */
export const readUntil = Effect.fnUntraced(function*(connection: Connection, found: (seen: Seen) => boolean) {
  const events: Array<Seen> = []
  for (;;) {
    const seen = yield* connection.next
    events.push(seen)
    if (found(seen)) return events
  }
})

/** Reads until the server ends the stream, or the connection is cut. */
export const readAll = Effect.fnUntraced(function*(connection: Connection) {
  const events: Array<Seen> = []
  const last = yield* Effect.flip(Effect.forever(Effect.map(connection.next, (seen) => events.push(seen))))
  return { events, end: last }
})

/** All events of a stream until its end. */
export const read = (url: string, options?: Options) => Effect.scoped(Effect.flatMap(connect(url, options), readAll))

/** Closes the connection after every k-th event, and reconnects with its cursor like an `EventSource`, until 204. */
export const readDropping = Effect.fnUntraced(function*(url: string, k: number) {
  const events: Array<Seen> = []
  for (let connections = 1;; connections++) {
    const done = yield* Effect.scoped(Effect.gen(function*() {
      const connection = yield* connect(url, { after: events.at(-1)?.id ?? 0 })
      if (connection.status === 204) return true
      for (let i = 0; i < k; i++) {
        const seen = yield* Effect.catch(connection.next, () => Effect.undefined)
        if (seen === undefined) break
        events.push(seen)
      }
      return false
    }))
    if (done) return { events, connections }
  }
})

const terminal = new Set(["done", "error", "cancelled"])

/** P3, P4: the events after the cursor come in order, each once, and only the last one is a terminal event. */
export const assertExact = (
  events: ReadonlyArray<Seen>,
  options?: { readonly after?: number; readonly to?: number }
) => {
  const first = (options?.after ?? 0) + 1
  assert.deepStrictEqual(events.map(({ id }) => id), Array.from(events, (_, i) => first + i))
  const ends = events.filter(({ data }) => terminal.has(data.type))
  assert.strictEqual(ends.length, 1, "there is one terminal event")
  assert.strictEqual(ends[0], events.at(-1), "the terminal event is the last")
  if (options?.to !== undefined) assert.strictEqual(events.at(-1)?.id, options.to)
}

export const types = (events: ReadonlyArray<Seen>): ReadonlyArray<string> => events.map(({ data }) => data.type)
