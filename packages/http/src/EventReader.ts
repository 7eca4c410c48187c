/**
 * Reads the events of a task without any library: `fetch` is all it needs, in browsers and on servers. The guarantees are
 * those of the typed client's `watch`: each event once and in order (P3), over as many connections as it takes.
 *
 * **When to use** Where a page or a program has no other use for Effect. Else use `Client`.
 *
 * @since 0.1.0
 */
// No Effect here: it would be a hundred times the size of this module.
// @effect-diagnostics asyncFunction:off globalTimers:off globalRandom:off globalErrorInEffectFailure:off
/* oxlint-disable eslint/no-restricted-globals, eslint/no-await-in-loop -- for the same reason */
import type { FeedChange } from "@perennial/domain/Feed"
import type { TaskEvent } from "@perennial/domain/TaskEvent"

/**
 * An event with its place in the log.
 *
 * @since 0.1.0
 * @category models
 */
export interface NumberedEvent {
  readonly seq: number
  /** The time of the write, in milliseconds since 1970-01-01T00:00Z; 0 if the server does not send it. */
  readonly at: number
  /** An event, or a part of a message, of a type that this version does not know arrives as `{ type: "unknown", raw }`. */
  readonly event: TaskEvent
}

/**
 * An update of the feed, as PROTOCOL.md describes it: dates are text.
 *
 * @since 0.1.0
 * @category models
 */
export type NumberedChange = typeof FeedChange.Encoded & {
  /** As `after`, it resumes the feed after this update. */
  readonly cursor: number
}

type HeaderFields = { readonly [name: string]: string }

/**
 * How to read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The seq of the last event that is already known; 0 by default: from the beginning. */
  readonly after?: number | undefined
  /** Headers of each request, such as `authorization`. A function is called before each request, so that tokens may change. */
  readonly headers?: HeaderFields | (() => HeaderFields | Promise<HeaderFields>) | undefined
  /** Ends the reader: the iteration throws the reason of the signal. */
  readonly signal?: AbortSignal | undefined
  /**
   * Milliseconds before the next connection, after so many failures in a row; by default 200, 400, ... at most 10,000, each
   * with jitter. A server may ask for more.
   */
  readonly pause?: ((failures: number) => number) | undefined
  /** Failures in a row, without an event in between, after which the reader gives up; 30 by default. */
  readonly maxFailures?: number | undefined
  /** Milliseconds after which a connection that sends nothing is given up as lost: 30,000 by default, two heartbeats. */
  readonly maxSilence?: number | undefined
  /** `fetch` by default. */
  readonly fetch?: typeof globalThis.fetch | undefined
}

/**
 * The server refuses to show the events: trying again does not help.
 *
 * @since 0.1.0
 * @category errors
 */
export class Refused extends Error {
  override readonly name = "Refused"
  readonly status: number
  /** The problem in the body (RFC 9457), if there is one. `type` says which. */
  readonly problem: { readonly type?: string; readonly detail?: string }

  constructor(status: number, problem: { readonly type?: string; readonly detail?: string }) {
    super(problem.detail ?? `The server answered ${status}.`)
    this.status = status
    this.problem = problem
  }
}

/** The compiler sees to it that this list is complete. */
const known: { readonly [Type in Exclude<TaskEvent["type"], "unknown">]: 1 } = {
  ack: 1,
  started: 1,
  text: 1,
  reasoning: 1,
  tool_call: 1,
  tool_progress: 1,
  tool_approval: 1,
  tool_result: 1,
  message: 1,
  model_request: 1,
  retry: 1,
  resumed: 1,
  data: 1,
  title: 1,
  output: 1,
  done: 1,
  error: 1,
  cancelled: 1
}

/** Characters of a frame: an event has at most 256 KiB. */
const maxFrame = 4 * 1024 * 1024

type Part = Extract<TaskEvent, { readonly type: "message" }>["message"]["content"][number]

/** The compiler sees to it that this list is complete, too. */
const knownParts: { readonly [Type in Exclude<Part["type"], "unknown">]: 1 } = {
  text: 1,
  reasoning: 1,
  tool_call: 1,
  provider_tool_call: 1,
  provider_tool_result: 1
}

const parsePart = (part: { readonly type: string }): unknown =>
  Object.hasOwn(knownParts, part.type) ? part : { type: "unknown", raw: part }

const parse = (data: string): Omit<NumberedEvent, "seq"> => {
  const { at = 0, ...event } = JSON.parse(data)
  if (!Object.hasOwn(known, event.type)) return { at, event: { type: "unknown", raw: event } }
  if (event.type === "message") event.message.content = event.message.content.map(parsePart)
  return { at, event }
}

const mayPass = (status: number): boolean => status >= 500 || status === 408 || status === 425 || status === 429

const defaultPause = (failures: number): number => Math.min(100 * 2 ** failures, 10_000) * (0.8 + 0.4 * Math.random())

const problemIn = async (response: Response): Promise<Refused["problem"]> => {
  try {
    return Object(await response.json())
  } catch {
    return {}
  }
}

/** A server may ask for a pause of at most a minute. */
const toMillis = (seconds: string | null): number =>
  seconds !== null && /^\d{1,9}$/.test(seconds) ? Math.min(Number(seconds), 60) * 1_000 : 0

/** A signal ends the sleep, too. */
const sleep = (millis: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer)
      signal?.removeEventListener("abort", wake)
      resolve()
    }
    const timer = setTimeout(wake, millis)
    signal?.addEventListener("abort", wake)
  })

const isTerminal = ({ type }: TaskEvent): boolean => type === "done" || type === "error" || type === "cancelled"

interface Frame<A> {
  readonly id: string
  readonly value: A
}

/** The frames of a stream over as many connections as it takes, each with an id that `isNew` accepts after the last one. */
async function* frames<A>(
  url: string | URL,
  options: Omit<Options, "after"> & { readonly after?: number | string | undefined },
  decode: (data: string) => A,
  isNew: (id: string, cursor: string) => boolean
): AsyncGenerator<Frame<A>, void, void> {
  const { fetch = globalThis.fetch, headers, maxFailures = 30, maxSilence = 30_000, signal } = options
  const backoff = options.pause ?? defaultPause
  let cursor = String(options.after ?? 0)
  let failures = 0

  for (;;) {
    const connection = new AbortController()
    const close = () => connection.abort(signal?.reason)
    const closed = new Promise<never>((_, reject) => {
      connection.signal.addEventListener("abort", () => reject(connection.signal.reason))
    })
    closed.catch(() => {})
    /** Waits for the server, but not for longer than a live server is silent. */
    const heard = <B>(answer: Promise<B>): Promise<B> => {
      const timer = setTimeout(close, maxSilence)
      return Promise.race([answer, closed]).finally(() => clearTimeout(timer))
    }
    signal?.addEventListener("abort", close)
    let failure: unknown
    let final = false
    let asked = 0
    try {
      signal?.throwIfAborted()
      const sent = new Headers(typeof headers === "function" ? await headers() : headers)
      if (cursor !== "0") sent.set("last-event-id", cursor)
      const response = await heard(fetch(url, { headers: sent, signal: connection.signal }))
      if (response.status === 204) return
      if (!response.ok || response.body === null) {
        final = !mayPass(response.status)
        failure = new Refused(response.status, await heard(problemIn(response)))
        asked = toMillis(response.headers.get("retry-after"))
      } else {
        const chunks = response.body.pipeThrough(new TextDecoderStream()).getReader()
        for (let text = ""; text.length <= maxFrame;) {
          const { done, value } = await heard(chunks.read())
          if (done) break
          const complete = (text + value).split("\n\n")
          // The last frame is not complete yet.
          text = complete.pop() ?? ""
          for (const frame of complete) {
            asked = Number(/^retry: (\d+)$/m.exec(frame)?.[1] ?? asked)
            const id = /^id: (.+)$/m.exec(frame)?.[1] ?? ""
            const data = /^data: (.*)$/m.exec(frame)?.[1]
            if (data === undefined || id === "" || !isNew(id, cursor)) continue
            const value = decode(data)
            cursor = id
            failures = 0
            yield { id, value }
          }
        }
        failure = new Error(`The connection was lost after event ${cursor}.`)
      }
    } catch (error) {
      failure = error
    } finally {
      signal?.removeEventListener("abort", close)
      close()
    }
    if (final || signal?.aborted === true || ++failures > maxFailures) throw failure
    await sleep(Math.max(asked, backoff(failures)), signal)
  }
}

/**
 * The events of the task at `url` (`.../tasks/{id}/events`) after a seq, up to its terminal event.
 *
 * **Details** A cut or silent connection, a restarted server, 5xx, 408, 425 and 429 are survived: the reader connects again
 * from the last event it has, after 0.2 s, 0.4 s, ... at most 10 s, each with jitter, but not before the seconds of
 * `Retry-After` (at most a minute). Every other answer is thrown as
 * `Refused`. Leaving the loop closes the connection; the task goes on.
 *
 * **Example**
 *
 * ```ts
 * import { read } from "@perennial/http/EventReader"
 *
 * for await (const { event } of read("/tasks/t1/events")) {
 *   if (event.type === "text") document.body.append(event.content)
 * }
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export async function* read(url: string | URL, options: Options = {}): AsyncGenerator<NumberedEvent, void, void> {
  for await (const { id, value } of frames(url, options, parse, (id, cursor) => Number(id) > Number(cursor))) {
    yield { seq: Number(id), ...value }
    if (isTerminal(value.event)) return
  }
}

/**
 * The feed at `url` (`.../feed`): how the user's tasks are now, and each change. It survives what `read` survives, and does
 * not end by itself. The same state of a task may come twice.
 *
 * @since 0.1.0
 * @category constructors
 */
export async function* readFeed(
  url: string | URL,
  options: Options = {}
): AsyncGenerator<NumberedChange, void, void> {
  const decode = (data: string): typeof FeedChange.Encoded => JSON.parse(data)
  // Updates of one millisecond have one cursor.
  for await (const { id, value } of frames(url, options, decode, (id) => Number(id) >= 0)) {
    yield { ...value, cursor: Number(id) }
  }
}

const splitPlace = (id: string): readonly [taskId: string, seq: number] => {
  const at = id.lastIndexOf("/")
  return [id.slice(0, at), Number(id.slice(at + 1))]
}

/**
 * The events of the conversation at `url` (`.../conversations/{id}/events`): of one task after the other. `after` is
 * `<taskId>/<seq>` of the last event that is already known, such as the id of a message. It survives what `read` survives, and
 * does not end by itself.
 *
 * @since 0.1.0
 * @category constructors
 */
export async function* readConversation(
  url: string | URL,
  options: Omit<Options, "after"> & { readonly after?: string | undefined } = {}
): AsyncGenerator<NumberedEvent & { readonly taskId: string }, void, void> {
  const isNew = (id: string, cursor: string): boolean => {
    const [taskId, seq] = splitPlace(id)
    const [lastTask, last] = splitPlace(cursor)
    return seq > 0 && (taskId !== lastTask || seq > last)
  }
  for await (const { id, value } of frames(url, options, parse, isNew)) {
    const [taskId, seq] = splitPlace(id)
    yield { taskId, seq, ...value }
  }
}
