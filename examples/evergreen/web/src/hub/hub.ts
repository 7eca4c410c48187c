/**
 * The connections of one browser: one feed, and one event stream for each conversation that a visible tab shows, however many
 * tabs there are. It runs in a shared worker, or in the page where there is none.
 *
 * A browser opens at most six connections to a server (HTTP/1.1), and all tabs share them. The hub holds at most
 * `maxStreams`; further conversations are read in pages.
 */
import * as Reader from "@perennial/http/EventReader"
import type { ListedTask } from "../api.ts"
import { type News, type Place, type PlacedEvent, placeOf, type Source, type Wish } from "./messages.ts"
import { readPages } from "./pages.ts"

/** With the feed there are four long connections: two are left for requests. */
const maxStreams = 3

/** The tasks that the hub tells a new tab at once: twice as many as a snapshot has. */
const maxTasks = 2_000

/** Milliseconds that events wait for others, so that a fast answer is not a message each. */
const gathering = 16

interface Tab {
  readonly port: MessagePort
  wish: Wish
}

/** A log has at most twice as many events. A tab that wants earlier ones gets them from the server. */
const maxEvents = 2_000

interface Log {
  /** The place before the first event. */
  after: Place
  readonly events: Array<PlacedEvent>
  readonly stop: AbortController
  readonly streams: boolean
  ended?: Extract<News, { readonly type: "ended" }>
}

const tabs = new Set<Tab>()
const logs = new Map<Source, Log>()
let feed: { readonly stop: AbortController; tasks: Map<string, ListedTask> | undefined } | undefined
let connected = true

const tell = (news: News, to: Iterable<Tab> = tabs): void => {
  for (const tab of to) if (tab.wish.visible) tab.port.postMessage(news)
}

const setConnected = (now: boolean): void => {
  if (connected !== now) tell({ type: "connected", connected: connected = now })
}

/** Options of every reader: it never gives up, and its connection is watched. */
const options = (signal: AbortSignal): Reader.Options => ({
  signal,
  maxFailures: Number.POSITIVE_INFINITY,
  pause: (failures) => {
    setConnected(false)
    return Math.min(150 * 2 ** failures, 3_000) * (0.8 + 0.4 * Math.random())
  },
  fetch: async (...request) => {
    const response = await fetch(...request)
    if (response.ok) setConnected(true)
    return response
  }
})

const followFeed = async (): Promise<void> => {
  const own = feed = { stop: new AbortController(), tasks: undefined as Map<string, ListedTask> | undefined }
  try {
    for await (const { tasks, type } of Reader.readFeed("/feed", options(own.stop.signal))) {
      if (type === "snapshot" || own.tasks === undefined) own.tasks = new Map()
      for (const task of tasks) own.tasks.set(task.id, task)
      for (const id of own.tasks.keys()) if (own.tasks.size > maxTasks) own.tasks.delete(id)
      tell({ type, tasks })
    }
  } catch (error) {
    if (error instanceof Reader.Refused) tell({ type: "refused", status: error.status })
  }
  if (feed === own) feed = undefined
}

const followers = (source: Source): Array<Tab> =>
  [...tabs].filter(({ wish }) => wish.follows.some((follow) => follow.source === source))

async function* readStream(source: Source, after: Place, signal: AbortSignal): AsyncGenerator<PlacedEvent> {
  if (source.startsWith("/conversations/")) {
    return yield* Reader.readConversation(source, { ...options(signal), after: after || undefined })
  }
  const taskId = decodeURIComponent(source.split("/")[2] ?? "")
  const seq = Number(after.split("/")[1] ?? 0)
  for await (const event of Reader.read(source, { ...options(signal), after: seq })) yield { taskId, ...event }
}

const followSource = async (source: Source, after: Place): Promise<void> => {
  const streams = [...logs.values()].filter((log) => log.streams && log.ended === undefined).length < maxStreams
  const log: Log = { after, events: [], stop: new AbortController(), streams }
  logs.set(source, log)
  const { signal } = log.stop
  let untold = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  const flush = (): void => {
    timer = undefined
    if (untold === log.events.length || signal.aborted) return
    tell({ type: "events", source, events: log.events.slice(untold) }, followers(source))
    if (log.events.length > 2 * maxEvents) {
      const last = log.events.splice(0, log.events.length - maxEvents).at(-1)
      if (last !== undefined) log.after = placeOf(last)
    }
    untold = log.events.length
  }
  let refused: number | undefined
  try {
    for await (const event of streams ? readStream(source, after, signal) : readPages(source, { after, signal })) {
      log.events.push(event)
      timer ??= setTimeout(flush, gathering)
    }
    // The stream of a conversation ends with the conversation.
    if (source.startsWith("/conversations/")) refused = 404
  } catch (error) {
    if (signal.aborted) return
    refused = error instanceof Reader.Refused ? error.status : 500
  }
  clearTimeout(timer)
  flush()
  log.ended = { type: "ended", source, refused }
  tell(log.ended, followers(source))
}

const open = (source: Source, after: Place): void => {
  logs.get(source)?.stop.abort()
  void followSource(source, after)
}

/** Gives a tab what the hub already has, and reads what the hub does not have. */
const serve = (tab: Tab, { after, source }: Wish["follows"][number]): void => {
  const log = logs.get(source)
  if (log === undefined || log.ended?.refused !== undefined) return open(source, after)
  const at = log.after === after ? 0 : log.events.findIndex((event) => placeOf(event) === after) + 1
  if (at === 0 && log.after !== after) return open(source, after)
  const known = log.events.slice(at)
  if (known.length > 0) tell({ type: "events", source, events: known }, [tab])
  if (log.ended !== undefined) tell(log.ended, [tab])
}

/** Opens what a visible tab wants, and closes what no visible tab wants any more. */
const settle = (): void => {
  const visible = [...tabs].filter(({ wish }) => wish.visible)
  const wanted = new Set(visible.flatMap(({ wish }) => wish.follows.map(({ source }) => source)))
  for (const [source, { stop }] of logs) {
    if (wanted.has(source)) continue
    stop.abort()
    logs.delete(source)
  }
  if (visible.length === 0) {
    feed?.stop.abort()
    feed = undefined
  } else if (feed === undefined) void followFeed()
}

const forget = (tab: Tab): void => {
  tabs.delete(tab)
  settle()
}

const accept = (tab: Tab, wish: Wish): void => {
  const before = tab.wish
  tabs.add(tab) // a page that the browser had put aside comes back
  if (before.lock === "" && wish.lock !== "") void globalThis.navigator.locks?.request(wish.lock, () => forget(tab))
  tab.wish = wish
  if (wish.bye === true) return forget(tab)
  const appeared = wish.visible && !before.visible
  settle()
  if (!wish.visible) return
  if (appeared) {
    tell({ type: "connected", connected }, [tab])
    if (feed?.tasks !== undefined) tell({ type: "snapshot", tasks: [...feed.tasks.values()] }, [tab])
  }
  for (const follow of wish.follows) {
    if (appeared || !before.follows.some(({ source }) => source === follow.source)) serve(tab, follow)
  }
}

/** A machine that slept has dead connections, and nothing says so: everything is read on from where it was. */
const readAgain = (): void => {
  feed?.stop.abort()
  feed = undefined
  for (const [source, log] of logs) {
    const last = log.events.at(-1)
    if (log.ended === undefined) open(source, last === undefined ? log.after : placeOf(last))
  }
  settle()
}

const beat = 5_000
let lastBeat = Date.now()
setInterval(() => {
  const now = Date.now()
  if (now - lastBeat > 4 * beat) readAgain()
  lastBeat = now
}, beat)
globalThis.addEventListener("online", readAgain)

/** A tab has come. */
export const connect = (port: MessagePort): void => {
  const tab: Tab = { port, wish: { visible: false, follows: [], lock: "" } }
  tabs.add(tab)
  port.addEventListener("message", ({ data }: MessageEvent<Wish>) => accept(tab, data))
  port.start()
}
