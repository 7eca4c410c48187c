/**
 * The connections of one browser: one feed, and one event stream for each task that a visible tab shows, however many tabs
 * there are. It runs in a shared worker, or in the page where there is none.
 *
 * A browser opens at most six connections to a server (HTTP/1.1), and all tabs share them. The hub holds at most
 * `maxStreams`; further tasks are read in pages.
 */
import * as Reader from "@perennial/http/EventReader"
import type { ListedTask } from "../api.ts"
import type { News, Wish } from "./messages.ts"
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
  /** The first event has the seq `after + 1`. */
  after: number
  readonly events: Array<Reader.NumberedEvent>
  readonly stop: AbortController
  readonly streams: boolean
  ended?: Extract<News, { readonly type: "ended" }>
}

const tabs = new Set<Tab>()
const logs = new Map<string, Log>()
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

const followers = (taskId: string): Array<Tab> =>
  [...tabs].filter(({ wish }) => wish.follows.some((follow) => follow.taskId === taskId))

const followTask = async (taskId: string, after: number): Promise<void> => {
  const streams = [...logs.values()].filter((log) => log.streams && log.ended === undefined).length < maxStreams
  const log: Log = { after, events: [], stop: new AbortController(), streams }
  logs.set(taskId, log)
  const { signal } = log.stop
  let untold = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  const flush = (): void => {
    timer = undefined
    if (untold === log.events.length || signal.aborted) return
    tell({ type: "events", taskId, events: log.events.slice(untold) }, followers(taskId))
    if (log.events.length > 2 * maxEvents) {
      log.events.splice(0, log.events.length - maxEvents)
      log.after = (log.events[0]?.seq ?? 1) - 1
    }
    untold = log.events.length
  }
  let refused: string | undefined
  const url = `/tasks/${encodeURIComponent(taskId)}/events`
  const read = streams ? Reader.read : readPages
  try {
    for await (const event of read(url, { ...options(signal), after })) {
      log.events.push(event)
      timer ??= setTimeout(flush, gathering)
    }
  } catch (error) {
    if (signal.aborted) return
    refused = error instanceof Reader.Refused ? error.message : String(error)
  }
  clearTimeout(timer)
  flush()
  log.ended = { type: "ended", taskId, refused }
  tell(log.ended, followers(taskId))
}

const open = (taskId: string, after: number): void => {
  logs.get(taskId)?.stop.abort()
  void followTask(taskId, after)
}

/** Gives a tab what the hub already has of a task, and reads the task if nobody does. */
const serve = (tab: Tab, { after, taskId }: Wish["follows"][number]): void => {
  const log = logs.get(taskId)
  if (log === undefined || log.after > after || log.ended?.refused !== undefined) return open(taskId, after)
  const known = log.events.filter(({ seq }) => seq > after)
  if (known.length > 0) tell({ type: "events", taskId, events: known }, [tab])
  if (log.ended !== undefined) tell(log.ended, [tab])
}

/** Opens what a visible tab wants, and closes what no visible tab wants any more. */
const settle = (): void => {
  const visible = [...tabs].filter(({ wish }) => wish.visible)
  const wanted = new Set(visible.flatMap(({ wish }) => wish.follows.map(({ taskId }) => taskId)))
  for (const [taskId, { stop }] of logs) {
    if (wanted.has(taskId)) continue
    stop.abort()
    logs.delete(taskId)
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
  if (before.lock === "") void globalThis.navigator.locks?.request(wish.lock, () => forget(tab))
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
    if (appeared || !before.follows.some(({ taskId }) => taskId === follow.taskId)) serve(tab, follow)
  }
}

/** A machine that slept has dead connections, and nothing says so: everything is read on from where it was. */
const readAgain = (): void => {
  feed?.stop.abort()
  feed = undefined
  for (const [taskId, log] of logs) {
    if (log.ended === undefined) open(taskId, log.events.at(-1)?.seq ?? log.after)
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
