/**
 * The requests of PROTOCOL.md with `fetch` alone. Streams are read by `EventReader`. The types are those of the domain, as they
 * are on the wire: dates are text.
 */
import type { AgentDescription } from "@perennial/domain/Agent"
import type { Approval } from "@perennial/domain/Approval"
import type { Conversation, StoredMessage } from "@perennial/domain/Conversation"
import type { Decision } from "@perennial/domain/Decision"
import type { FeedTask } from "@perennial/domain/Feed"
import type { FilePart } from "@perennial/domain/Message"
import type { Task as DomainTask } from "@perennial/domain/Task"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { sleep } from "./sleep.ts"

export type Task = typeof DomainTask.Encoded
export type ListedTask = typeof FeedTask.Encoded
export type WaitingApproval = typeof Approval.Encoded
export type ListedConversation = typeof Conversation.Encoded
export type Message = typeof StoredMessage.Encoded
export type Agent = typeof AgentDescription.Encoded
export type OnBusy = "reject" | "enqueue" | "interrupt"
export type Status = Task["status"]

export interface File {
  readonly type: "file"
  readonly mediaType: string
  readonly data: string
  readonly name: string
}

export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly next?: string
}

/** The server has answered with a problem (RFC 9457). */
export class Problem extends Error {
  override readonly name = "Problem"
  readonly status: number
  /** The name of the problem in PROTOCOL.md. */
  readonly type: string
  constructor(status: number, body: { readonly type?: string; readonly title?: string; readonly detail?: string }) {
    super(body.detail ?? body.title ?? `The server answered ${status}.`)
    this.status = status
    this.type = (body.type ?? "").replace("urn:perennial:problem:", "")
  }
}

const request = async (path: string, init?: RequestInit): Promise<Response> => {
  const response = await fetch(path, init)
  if (response.ok) return response
  throw new Problem(response.status, Object(await response.json().catch(() => ({}))))
}

export const get = async <A>(path: string, headers?: Record<string, string>): Promise<A> =>
  (await request(path, headers === undefined ? {} : { headers })).json()

export const send = (
  method: string,
  path: string,
  body: unknown,
  headers?: Record<string, string>
): Promise<Response> =>
  request(path, { method, body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } })

export const at = encodeURIComponent

export type Query = Readonly<Record<string, string | number | ReadonlyArray<string> | undefined>>

export const query = (values: Query): string =>
  new URLSearchParams(
    Object.entries(values).flatMap(([name, value]) =>
      value === undefined ? [] : [value].flat().map((one) => [name, String(one)])
    )
  ).toString()

export const conversations = (before?: string): Promise<Page<ListedConversation>> =>
  get(`/conversations?${query({ order: "updatedAt", limit: 50, before })}`)

/** Conversations with these words in their messages or their title, the newest first. */
export const search = (q: string, before?: string): Promise<Page<ListedConversation>> =>
  get(`/conversations?${query({ q, order: "updatedAt", limit: 30, before })}`)

export const rename = (id: string, title: string): Promise<Response> =>
  send("PATCH", `/conversations/${at(id)}`, { title })

export const removeConversation = (id: string): Promise<Response> =>
  request(`/conversations/${at(id)}`, { method: "DELETE" })

export const approvals = (before?: string): Promise<Page<WaitingApproval>> =>
  get(`/approvals?${query({ limit: 100, before })}`)

export const tasks = (filter: Query): Promise<Page<Task>> => get(`/tasks?${query(filter)}`)

/** How many tasks have each status, and how many wait for the person. 1,000 means 1,000 or more. */
export type Counts = Readonly<Record<Status | "waiting", number>>

export const taskCounts = (): Promise<Counts> => get("/tasks/counts")

export const task = (id: string): Promise<Task> => get(`/tasks/${at(id)}`)

export const decide = async (id: string, toolCallId: string, decision: Decision): Promise<void> => {
  await send("POST", `/tasks/${at(id)}/decisions/${at(toolCallId)}`, decision)
}

export interface EventPage {
  readonly events: ReadonlyArray<StoredEvent>
  readonly lastSeq: number
  readonly ended: boolean
}

/** Stored events with their times. The page does not wait for new ones. */
export const events = (id: string, after: number): Promise<EventPage> =>
  get(`/tasks/${at(id)}/events?${query({ after, limit: 1000 })}`, { accept: "application/json" })

/** Messages that are shown at once. More of them would be a long task for the page. */
const page = 20

/** A page of the messages of a conversation, from the end. `next` is for the page before it. The oldest is the first. */
export const newestMessages = async (id: string, after?: string): Promise<Page<Message>> => {
  const { items, next }: Page<Message> = await get(
    `/conversations/${at(id)}/messages?${query({ order: "newest", limit: page, after })}`
  )
  return { items: items.toReversed(), ...next === undefined ? {} : { next } }
}

const allMessages = async (path: string): Promise<ReadonlyArray<Message>> => {
  const all: Array<Message> = []
  let after: string | undefined
  do {
    const page: Page<Message> = await get(`${path}?${query({ limit: 1000, after })}`)
    all.push(...page.items)
    after = page.next
  } while (after !== undefined)
  return all
}

/** All messages that were replaced, in the order in which they were added. */
export const replaced = (id: string): Promise<ReadonlyArray<Message>> =>
  allMessages(`/conversations/${at(id)}/replaced`)

/** Sends until the server answers. Only for requests that may be repeated. */
const sendSafely = async (path: string, body: unknown, headers?: Record<string, string>): Promise<Response> => {
  for (let wait = 500;; wait = Math.min(wait * 2, 8_000)) {
    try {
      return await send("POST", path, body, headers)
    } catch (error) {
      if (error instanceof Problem && (error.status < 500 || error.type === "capacity-exceeded")) throw error
      await sleep(wait)
    }
  }
}

/** The key makes a start safe to repeat after no answer: the message is stored once, however often it is sent. */
const startSafely = async (path: string, body: unknown): Promise<Task> =>
  (await sendSafely(path, body, { "idempotency-key": crypto.randomUUID() })).json()

export const cancel = (id: string): Promise<Response> => sendSafely(`/tasks/${at(id)}/cancel`, {})

export interface Start {
  readonly text: string
  readonly files: ReadonlyArray<typeof FilePart.Encoded>
  readonly conversationId: string
  readonly onBusy: OnBusy
  readonly replaces?: string | undefined
}

export const start = ({ files, text, ...rest }: Start): Promise<Task> => {
  const content = [...text === "" ? [] : [{ type: "text", text }], ...files]
  return startSafely("/tasks", { ...rest, message: files.length === 0 ? text : { role: "user", content } })
}

export const regenerate = (id: string): Promise<Task> => startSafely(`/conversations/${at(id)}/regenerate`, {})

export const agents = (): Promise<Page<Agent>> => get("/agents")

export interface Me {
  readonly userId: string
  readonly roles: ReadonlyArray<string>
}

export const me = (): Promise<Me> => get("/me")

/** The cookie takes the token to every later request of this browser. No script can read the cookie. */
export const signIn = async (token: string): Promise<void> => {
  await request("/sign-in", { method: "POST", headers: { authorization: `Bearer ${token}` } })
}

export const signOut = async (): Promise<void> => {
  await request("/sign-out", { method: "POST" })
}

export const version = async (): Promise<string> =>
  (await get<{ readonly info: { readonly version: string } }>("/openapi.json")).info.version
