/**
 * The conversation that the tab shows: its stored messages, and a `Live` for each task that was active when it was opened or began
 * since. One stream brings the events of one task after the other. What a `Live` shows is not taken from the messages.
 */
import * as api from "../api.ts"
import * as hub from "../hub/client.ts"
import { conversationSource, type News, type Place, type PlacedEvent, placeOf } from "../hub/messages.ts"
import * as History from "./history.ts"
import { joined, since } from "./kept.ts"
import * as lists from "./lists.ts"
import { accepted, isGoing, type Live, over, type Pending, taskOf, withEvents, withTask } from "./live.ts"
import { makeStore } from "./store.ts"
import * as Unseen from "./unseen.ts"

export interface Open extends History.History {
  readonly id: string
  readonly state: "loading" | "ready" | "missing" | "failed"
  readonly live: ReadonlyArray<Live>
  readonly pending: ReadonlyArray<Pending>
  /** Earlier versions: messages that were edited or answered again, and what followed them. */
  readonly replaced: ReadonlyArray<api.Message>
  /** The earlier version that is shown in the place of a message: its id, and that of the version. */
  readonly earlier: { readonly of: string; readonly shown: string } | undefined
}

const store = makeStore<{ readonly open: Open | undefined }>({ open: undefined })

export const useOpen = (id: string): Open | undefined => store.use(({ open }) => open?.id === id ? open : undefined)

/** Whether the person still looks at it: a message may be sent later than that. */
export const isOpen = (id: string): boolean => store.get().open?.id === id

const setOpen = (id: string, change: (open: Open) => Partial<Open>): void =>
  store.set(({ open }) => open?.id === id ? { open: { ...open, ...change(open) } } : {})

const setLive = (taskId: string, change: (live: Live) => Live): void =>
  store.set(({ open }) =>
    open === undefined
      ? {}
      : { open: { ...open, live: open.live.map((one) => one.task.id === taskId ? change(one) : one) } }
  )

const liveOf = (taskId: string): Live | undefined => store.get().open?.live.find((one) => one.task.id === taskId)

/** Where the tab is in the events of the conversation. */
let place: Place = ""
/** Tasks that are over. Their events come again if another tab of the browser begins earlier. */
let past = new Set<string>()
/** Events that came before the answer to `send` that names their task. */
let early: Array<PlacedEvent> = []
/** The server did not have the events after the place, and the conversation was read anew. */
let readAnew = false

const add = (task: api.ListedTask, asked?: Live["asked"]): void => {
  const { open } = store.get()
  if (open?.id !== task.conversationId || open.state !== "ready") return
  if (past.has(task.id) || liveOf(task.id) !== undefined) return
  setOpen(open.id, ({ live }) => ({
    live: [...live, accepted(task, asked)].toSorted((a, b) => a.task.createdAt < b.task.createdAt ? -1 : 1)
  }))
}

const addActive = (id: string): void => {
  for (const task of lists.tasksOf(id)) if (lists.isActive(task)) add(task)
}

const follow = (id: string): void => hub.follow(conversationSource(id), () => place)

const readReplaced = async (id: string, messages: ReadonlyArray<api.Message>): Promise<ReadonlyArray<api.Message>> =>
  messages.some(({ replaces }) => replaces !== undefined) ? api.replaced(id) : []

/** Whether the messages show all of a task that has ended. They have none of it if its message was replaced. */
const isStored = ({ isOver, task, view }: Live, messages: ReadonlyArray<api.Message>): boolean => {
  if (isOver) return true
  const own = messages.filter(({ message, taskId }) => taskId === task.id && message.role === "assistant").length
  return own === 0 || own >= view.messages.length
}

/** How often the messages were read anew. */
let reads = 0

const readMessages = async (id: string): Promise<void> => {
  const read = ++reads
  try {
    const fresh = await History.newest(id)
    const replaced = await readReplaced(id, [...store.get().open?.messages ?? [], ...fresh.messages])
    // A later read has what this one has, and may have been answered before it.
    if (read !== reads) return
    // From here on the messages show a task that has ended, or another task has replaced its message. The last task is followed
    // on, because only its log has how it ended.
    const live = store.get().open?.live ?? []
    const done = live.slice(0, -1).filter((one) => !isGoing(one) && isStored(one, fresh.messages))
    setOpen(id, (open) => ({
      ...joined(open, fresh),
      replaced,
      live: open.live.filter((one) => !done.some(({ task }) => task.id === one.task.id))
    }))
    for (const { task } of done) past.add(task.id)
  } catch {
    // They are read again when the next task begins, or the tab is opened again.
  }
}

const apply = (events: ReadonlyArray<PlacedEvent>): void => {
  const { open } = store.get()
  if (open === undefined) return
  let hasBegun = false
  for (const [taskId, own] of Map.groupBy(events, (event) => event.taskId)) {
    if (past.has(taskId)) continue
    if (liveOf(taskId) === undefined) {
      if (open.pending.length > 0) {
        early.push(...own)
        continue
      }
      if (own[0] !== undefined) add(taskOf(own[0], open.id))
    }
    const before = liveOf(taskId)?.view.cursor ?? 0
    setLive(taskId, (one) => withEvents(one, own))
    hasBegun ||= own.some(({ event, seq }) => event.type === "started" && seq > before)
  }
  // From here on the message that the task replaces is gone, and its own is there.
  if (hasBegun) void readMessages(open.id)
}

const refused = (id: string, status: number): void => {
  if (status === 404 || readAnew) return setOpen(id, () => ({ state: status === 404 ? "missing" : "failed" }))
  // The events after this place are not kept any more. What is stored says how everything ended.
  reload(id)
  readAnew = true
}

const accept = (news: News): void => {
  const { open } = store.get()
  if (open === undefined) return
  if (news.type === "events" && news.source === conversationSource(open.id)) {
    const last = news.events.at(-1)
    if (last !== undefined) place = placeOf(last)
    apply(news.events)
  } else if (news.type === "ended" && news.source === conversationSource(open.id)) refused(open.id, news.refused ?? 404)
  else if (news.type === "snapshot" || news.type === "changes") {
    for (const task of news.tasks.toReversed()) {
      if (task.conversationId !== open.id) continue
      setLive(task.id, (live) => withTask(live, task))
      // The feed may be faster than the answer to `send`, which will show this message instead of the one that is being sent.
      if (lists.isActive(task) && open.pending.length === 0) add(task)
    }
  }
}

/** Begins to listen. */
export const begin = (): void => void hub.onNews(accept)

const close = (): void => {
  const { open } = store.get()
  if (open !== undefined) hub.unfollow(conversationSource(open.id))
  place = ""
  past = new Set()
  early = []
  readAnew = false
}

/** Tells that no conversation is shown. */
export const leave = (): void => {
  close()
  Unseen.see(undefined)
  store.set(() => ({ open: undefined }))
}

const load = async (id: string): Promise<void> => {
  try {
    // Tasks before messages: a task that ends in between is shown by its view, and left out of the messages.
    const { items } = await api.tasks({ conversationId: id, limit: 100 })
    const history = await History.newest(id)
    const replaced = await readReplaced(id, history.messages)
    if (!isOpen(id)) return
    const state = history.messages.length + items.length === 0 ? "missing" : "ready"
    const [last] = items
    // How the last task failed or was stopped is in no message. A message that was removed before its turn is none at all.
    const shown = items.find(({ startedAt, status }) => startedAt !== undefined || status !== "cancelled")
    const hasFailed = shown !== undefined && !lists.isActive(shown) && shown.status !== "completed"
    setOpen(id, () => ({ ...history, replaced, state, live: hasFailed ? [over(shown)] : [] }))
    if (state === "missing") return
    const oldest = items.findLastIndex(lists.isActive)
    const before = oldest === -1 ? last : items[oldest + 1]
    place = before === undefined ? "" : placeOf({ taskId: before.id, seq: before.lastSeq })
    past = new Set(items.filter((task) => !lists.isActive(task)).map((task) => task.id))
    for (const task of items.toReversed()) if (lists.isActive(task)) add(task)
    addActive(id)
    follow(id)
  } catch (error) {
    const missing = error instanceof api.Problem && error.status === 404
    setOpen(id, () => ({ state: missing ? "missing" : "failed" }))
  }
}

export const open = (id: string): void => {
  Unseen.see(id)
  if (store.get().open?.id === id) return
  close()
  store.set(() => ({
    open: { id, state: "loading", ...History.none, live: [], pending: [], replaced: [], earlier: undefined }
  }))
  void load(id)
}

/** Tries again to read a conversation. */
export const reload = (id: string): void => {
  hub.unfollow(conversationSource(id))
  setOpen(id, () => ({ state: "loading" }))
  void load(id)
}

let readsOlder = false

/** Reads the messages before those that are shown. */
export const readOlder = async (id: string): Promise<void> => {
  const { open } = store.get()
  if (readsOlder || open?.id !== id || open.older === undefined) return
  const { messages, older } = open
  readsOlder = true
  try {
    const history = await History.older(id, open)
    const replaced = open.replaced.length > 0 ? open.replaced : await readReplaced(id, history.messages)
    // What was read anew meanwhile may not continue these messages.
    setOpen(id, (now) => now.messages === messages && now.older === older ? { ...history, replaced } : {})
  } finally {
    readsOlder = false
  }
}

/** Drops the messages before this one, as far as they are stored. `readOlder` brings them back. */
export const dropOlder = (id: string, messageId: string): void => setOpen(id, (open) => since(open, messageId))

/** A conversation that has no task yet: only this tab knows it. */
export const fresh = (id: string): void => {
  if (store.get().open?.id === id) return
  close()
  Unseen.see(id)
  store.set(() => ({
    open: { id, state: "ready", ...History.none, live: [], pending: [], replaced: [], earlier: undefined }
  }))
}

/** Shows an earlier version of a message and its answer; the newest one if it is the message itself. */
export const showVersion = (id: string, of: string, shown: string): void =>
  setOpen(id, () => ({ earlier: of === shown ? undefined : { of, shown } }))

/** The first task of a conversation makes the conversation. */
const started = (task: api.Task, asked?: Live["asked"]): void => {
  add(task, asked)
  if (isOpen(task.conversationId)) follow(task.conversationId)
}

export const send = async (start: api.Start): Promise<void> => {
  const { conversationId: id, files, text } = start
  const key = crypto.randomUUID()
  setOpen(id, ({ pending }) => ({ pending: [...pending, { key, text, files }], earlier: undefined }))
  try {
    started(await api.start(start), { text, files })
  } finally {
    setOpen(id, ({ pending }) => ({ pending: pending.filter((one) => one.key !== key) }))
    const { open } = store.get()
    if (open?.id === id && open.pending.length === 0) {
      addActive(id)
      apply(early.splice(0))
    }
  }
}

export const regenerate = async (id: string): Promise<void> => {
  setOpen(id, () => ({ earlier: undefined }))
  started(await api.regenerate(id))
}
