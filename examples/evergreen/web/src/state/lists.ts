/**
 * What the lists show: the tasks of the feed, the conversations, and what waits for the person. The feed says when a list has
 * to be read again; nothing is polled.
 */
import * as api from "../api.ts"
import { onNews } from "../hub/client.ts"
import type { News } from "../hub/messages.ts"
import { sleep } from "../sleep.ts"
import { makeStore } from "./store.ts"
import * as Unseen from "./unseen.ts"

export interface Lists {
  /** The tasks that the feed has told, by id. Undefined before the first snapshot. */
  readonly tasks: ReadonlyMap<string, api.ListedTask> | undefined
  readonly conversations: ReadonlyArray<api.ListedConversation> | undefined
  readonly next: string | undefined
  readonly approvals: ReadonlyArray<api.WaitingApproval> | undefined
  readonly connected: boolean
  /** The server wants a token. */
  readonly signedOut: boolean
}

const store = makeStore<Lists>({
  tasks: undefined,
  conversations: undefined,
  next: undefined,
  approvals: undefined,
  connected: true,
  signedOut: false
})

export const useLists = store.use

export const isActive = ({ status }: { readonly status: api.Status }): boolean =>
  status === "queued" || status === "running"

/** A text without the marks of Markdown, on one line. */
export const plainText = (text: string): string => text.replace(/[#*`|>~_]+|-{3,}:?/g, " ").replace(/\s+/g, " ").trim()

export const hrefOf = ({ id }: api.ListedConversation): string => `/c/${encodeURIComponent(id)}`

/** What a conversation is called: its title, or else its newest text, without the marks of Markdown. */
export const nameOf = ({ preview = "", title }: api.ListedConversation): string =>
  title ?? (plainText(preview) || "New conversation")

/** Conversations that were removed here: a list that was asked for before may still have them. */
const removed = new Set<string>()

const readConversations = async (): Promise<void> => {
  const { items, next } = await api.conversations()
  const known = store.get().conversations ?? []
  const last = items.at(-1)
  // Older pages stay as they were read.
  const older = next === undefined || last === undefined
    ? []
    : known.slice(known.findLastIndex(({ id }) => id === last.id) + 1)
  const fresh = new Set(items.map(({ id }) => id))
  store.set((state) => ({
    conversations: [...items, ...older.filter(({ id }) => !fresh.has(id))].filter(({ id }) => !removed.has(id)),
    next: older.length > 0 ? state.next : next,
    signedOut: false
  }))
}

export const readOlderConversations = async (): Promise<void> => {
  const { next } = store.get()
  if (next === undefined) return
  const page = await api.conversations(next)
  store.set(({ conversations = [] }) => ({ conversations: [...conversations, ...page.items], next: page.next }))
}

export const readApprovals = async (): Promise<void> => {
  const { items } = await api.approvals()
  store.set(() => ({ approvals: items.toSorted((a, b) => a.askedAt < b.askedAt ? -1 : 1) }))
}

export const removeConversation = async (id: string): Promise<void> => {
  await api.removeConversation(id)
  removed.add(id)
  store.set(({ conversations }) => ({ conversations: conversations?.filter((one) => one.id !== id) }))
}

/** One read at a time; what changes during a read is read after it. A failed read is tried again with the next change. */
const again = (read: () => Promise<void>): () => void => {
  let wanted = false
  let reads = false
  const run = async (): Promise<void> => {
    reads = true
    while (wanted) {
      wanted = false
      try {
        await read()
      } catch (error) {
        if (error instanceof api.Problem && error.status === 401) store.set(() => ({ signedOut: true }))
      }
      await sleep(200)
    }
    reads = false
  }
  return () => {
    wanted = true
    if (!reads) void run()
  }
}

/** Something about conversations has changed. */
export const conversationsChanged = again(readConversations)
const approvalsChanged = again(readApprovals)

const waitingOf = (tasks: Iterable<api.ListedTask>): string =>
  [...tasks].flatMap(({ id, waiting = [] }) => waiting.map(({ toolCallId }) => `${id} ${toolCallId}`)).join()

const accept = (news: News): void => {
  if (news.type === "connected") {
    store.set(() => ({ connected: news.connected }))
    if (news.connected) conversationsChanged()
  } else if (news.type === "refused") store.set(() => ({ signedOut: news.status === 401 }))
  else if (news.type === "snapshot" || news.type === "changes") {
    const before = store.get().tasks
    const known = [...before?.values() ?? []].filter((task) => news.type === "changes" || !isActive(task))
    const tasks = new Map(known.map((task) => [task.id, task]))
    for (const task of news.tasks) {
      const old = before?.get(task.id)
      if (old !== undefined && isActive(old) && !isActive(task) && task.parent === undefined) Unseen.ended(task)
      tasks.set(task.id, task)
    }
    store.set(() => ({ tasks }))
    if (waitingOf(tasks.values()) !== waitingOf(before?.values() ?? []) || before === undefined) approvalsChanged()
    conversationsChanged()
  }
}

export const begin = (): void => void onNews(accept)

/** The tool calls that wait for the person, as far as the feed has told. */
export const countWaiting = ({ tasks }: Lists): number => {
  let count = 0
  for (const task of tasks?.values() ?? []) count += task.waiting?.length ?? 0
  return count
}

export const countActive = ({ tasks }: Lists): number => {
  let count = 0
  for (const task of tasks?.values() ?? []) if (isActive(task) && task.parent === undefined) count++
  return count
}

/** Tells when a task of a conversation is new or has changed. */
export const tasksOf = (conversationId: string): Array<api.ListedTask> =>
  [...store.get().tasks?.values() ?? []].filter((task) => task.conversationId === conversationId)
