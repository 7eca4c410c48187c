/**
 * The conversation that the tab shows: its stored messages, and a `TaskView` for each task that was active when it was opened or
 * began since. What a view shows is not taken from the messages.
 */
import * as TaskView from "@perennial/domain/TaskView"
import * as api from "../api.ts"
import * as hub from "../hub/client.ts"
import type { News } from "../hub/messages.ts"
import * as History from "./history.ts"
import * as lists from "./lists.ts"
import { makeStore } from "./store.ts"
import * as Unseen from "./unseen.ts"

export interface Live {
  readonly task: api.ListedTask
  readonly view: TaskView.TaskView
  readonly attempt: number
  /** Milliseconds: when the execution began; before, when the task was accepted. */
  readonly startedAt: number
  /** What was asked, if this tab asked it: a message that waits is in no list of messages yet. */
  readonly asked: { readonly text: string; readonly files: ReadonlyArray<api.File> } | undefined
}

export interface Open extends History.History {
  readonly id: string
  readonly state: "loading" | "ready" | "missing" | "failed"
  readonly live: ReadonlyArray<Live>
  /** Messages that the server has not accepted yet. They are sent again until it answers. */
  readonly pending: ReadonlyArray<Pending>
  /** Earlier versions: messages that were edited or answered again, and what followed them. */
  readonly replaced: ReadonlyArray<api.Message>
  /** The earlier version that is shown in the place of a message: its id, and that of the version. */
  readonly earlier: { readonly of: string; readonly shown: string } | undefined
}

export interface Pending {
  readonly key: string
  readonly text: string
  readonly files: ReadonlyArray<api.File>
}

const store = makeStore<{ readonly open: Open | undefined }>({ open: undefined })

export const useOpen = (id: string): Open | undefined => store.use(({ open }) => open?.id === id ? open : undefined)

/** Whether the person still looks at it: a message may be sent later than that. */
export const isOpen = (id: string): boolean => store.get().open?.id === id

const setOpen = (id: string, change: (open: Open) => Partial<Open>): void =>
  store.set(({ open }) => open?.id === id ? { open: { ...open, ...change(open) } } : {})

const setLive = (taskId: string, change: (live: Live) => Partial<Live>): void =>
  store.set(({ open }) =>
    open === undefined
      ? {}
      : { open: { ...open, live: open.live.map((one) => one.task.id === taskId ? { ...one, ...change(one) } : one) } }
  )

const liveOf = (taskId: string): Live | undefined => store.get().open?.live.find((one) => one.task.id === taskId)

export const isGoing = ({ view }: Live): boolean => view.status === "queued" || view.status === "running"

const follow = (task: api.ListedTask, asked?: Live["asked"]): void => {
  const { open } = store.get()
  if (open?.id !== task.conversationId || open.state !== "ready" || liveOf(task.id) !== undefined) return
  const startedAt = Date.parse(task.createdAt)
  const one: Live = { task, view: TaskView.empty, attempt: task.attempt, startedAt, asked }
  setOpen(open.id, ({ live }) => ({
    live: [...live, one].toSorted((a, b) => a.task.createdAt < b.task.createdAt ? -1 : 1)
  }))
  hub.follow(task.id, () => liveOf(task.id)?.view.cursor ?? 0)
}

const followActive = (id: string): void => {
  for (const task of lists.tasksOf(id)) if (lists.isActive(task)) follow(task)
}

const readReplaced = async (id: string, { messages }: History.History): Promise<ReadonlyArray<api.Message>> =>
  messages.some(({ replaces }) => replaces !== undefined) ? api.replaced(id) : []

/** Whether the messages show all of a task that has ended. They have none of it if its message was replaced. */
const isStored = ({ task, view }: Live, messages: ReadonlyArray<api.Message>): boolean => {
  const own = messages.filter(({ message, taskId }) => taskId === task.id && message.role === "assistant").length
  return own === 0 || own >= view.messages.length
}

const readMessages = async (id: string): Promise<void> => {
  try {
    const fresh = await History.newest(id)
    const replaced = await readReplaced(id, fresh)
    // From here on the messages show a task that has ended, or another task has replaced its message. The last task is followed
    // on, because only its log has how it ended.
    const live = store.get().open?.live ?? []
    const done = live.slice(0, -1).filter((one) => !isGoing(one) && isStored(one, fresh.messages))
    setOpen(id, (open) => ({
      ...History.joined(open, fresh),
      replaced,
      live: open.live.filter((one) => !done.some(({ task }) => task.id === one.task.id))
    }))
    if (done.length > 0) hub.unfollow(done.map(({ task }) => task.id))
  } catch {
    // They are read again when the next task begins, or the tab is opened again.
  }
}

const apply = (taskId: string, events: Extract<News, { readonly type: "events" }>["events"]): void => {
  const before = liveOf(taskId)
  if (before === undefined) return
  setLive(taskId, (one) => {
    let { attempt, startedAt, view } = one
    for (const { at, event, seq } of events) {
      view = TaskView.apply(view, { seq, at, event })
      if (event.type === "started" || event.type === "resumed") attempt = event.attempt
      if (event.type === "started") startedAt = at
    }
    return { view, attempt, startedAt }
  })
  // From here on the message that the task replaces is gone, and its own is there.
  if (events.some(({ event, seq }) => event.type === "started" && seq > before.view.cursor)) {
    void readMessages(before.task.conversationId)
  }
}

const accept = (news: News): void => {
  const { open } = store.get()
  if (news.type === "events") apply(news.taskId, news.events)
  else if (news.type === "ended") {
    if (news.refused === undefined) return
    const detail = news.refused
    // The log is gone or was never this person's. The messages say what can be known.
    setLive(news.taskId, ({ task, view }) => ({
      view: lists.isActive(task)
        ? { ...view, status: "error", error: { error: "Refused", detail, retryable: false } }
        : { ...view, status: task.status }
    }))
  } else if ((news.type === "snapshot" || news.type === "changes") && open !== undefined) {
    for (const task of news.tasks.toReversed()) {
      if (task.conversationId !== open.id) continue
      setLive(task.id, () => ({ task }))
      // The feed may be faster than the answer to `send`, which will show this message instead of the one that is being sent.
      if (lists.isActive(task) && open.pending.length === 0) follow(task)
    }
  }
}

/** Begins to listen. */
export const begin = (): void => void hub.onNews(accept)

const close = (): void => {
  const { open } = store.get()
  if (open !== undefined) hub.unfollow(open.live.map(({ task }) => task.id))
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
    const replaced = await readReplaced(id, history)
    const state = history.messages.length + items.length === 0 ? "missing" : "ready"
    setOpen(id, () => ({ ...history, replaced, state }))
    for (const task of items.toReversed()) {
      // How the last task failed or was stopped is only in its log.
      if (lists.isActive(task) || (task.status !== "completed" && task === items[0])) follow(task)
    }
    followActive(id)
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
  setOpen(id, () => ({ state: "loading" }))
  void load(id)
}

/** Reads the messages before those that are shown. */
export const readOlder = async (id: string): Promise<void> => {
  const { open } = store.get()
  if (open?.id !== id || open.older === undefined) return
  const { messages, older } = open
  const history = await History.older(id, open)
  // What was read anew meanwhile may not continue these messages.
  setOpen(id, (now) => now.messages === messages && now.older === older ? history : {})
}

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

export const send = async (start: api.Start): Promise<void> => {
  const { conversationId: id, files, text } = start
  const key = crypto.randomUUID()
  setOpen(id, ({ pending }) => ({ pending: [...pending, { key, text, files }], earlier: undefined }))
  try {
    follow(await api.start(start), { text, files })
  } finally {
    setOpen(id, ({ pending }) => ({ pending: pending.filter((one) => one.key !== key) }))
    if (store.get().open?.pending.length === 0) followActive(id)
  }
}

export const regenerate = async (id: string): Promise<void> => {
  setOpen(id, () => ({ earlier: undefined }))
  follow(await api.regenerate(id))
}
