/**
 * The user whose data must not leak: data in every place, with a mark in each text, and everything that another user might get
 * hold of: ids, cursors, keys, tickets that are not valid for anybody else.
 */
import { Effect } from "effect"
import type { Call, Json } from "./server.ts"

/** In every text of the victim, and in nothing that another user sends. */
export const mark = "zq7victimzq7"

/** What an attacker knows of a victim. */
export interface Known {
  readonly tasks: ReadonlyArray<string>
  readonly conversations: ReadonlyArray<string>
  readonly webhooks: ReadonlyArray<string>
  readonly messages: ReadonlyArray<string>
  readonly cursors: ReadonlyArray<string>
  readonly keys: ReadonlyArray<string>
  readonly calls: ReadonlyArray<string>
  /** With their signatures, which only prove that a ticket is the user's. */
  readonly tickets: ReadonlyArray<string>
}

const text = (value: unknown): string => typeof value === "string" ? value : ""

const idsOf = (page: Json): ReadonlyArray<string> => {
  const { items } = page
  return Array.isArray(items) ? items.map((item: Json) => text(item["id"])) : []
}

/**
 * Starts tasks of a user, and returns what another user may know of them. Every text begins with the word. With `holding`, one task
 * waits for a person, one runs for ever, and one waits behind it.
 */
export const prepare = Effect.fnUntraced(function*(
  call: Call,
  { holding: holds, token, word }: { readonly token: string; readonly word: string; readonly holding: boolean }
) {
  const send = (method: string, path: string, body?: object, headers: Readonly<Record<string, string>> = {}) =>
    Effect.map(
      call({
        method,
        path,
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
        body: body && JSON.stringify(body)
      }),
      ({ text }): Json => text.startsWith("{") ? JSON.parse(text) as Json : {}
    )
  const key = `key-of-${token}`
  const begin = (message: string, options: object = {}) =>
    send("POST", "/tasks", {
      message: `${word} ${message}`,
      metadata: { note: `${word} metadata` },
      userMetadata: { note: `${word} user metadata` },
      ...options
    })
  const first = yield* send("POST", "/tasks", { message: `${word} first` }, { "idempotency-key": key })
  yield* send("GET", `/tasks/${text(first["id"])}/events`)
  /** Waits for the last event before a task stands still. */
  const follow = (task: Json, until: string) =>
    call({
      method: "GET",
      path: `/tasks/${text(task["id"])}/events`,
      headers: { authorization: `Bearer ${token}` },
      body: undefined,
      until: [until]
    })
  const asking = yield* begin(holds ? "approve" : "second")
  const holding = yield* begin(holds ? "hold" : "third")
  const conversationId = text(holding["conversationId"])
  yield* begin("behind", { conversationId, onBusy: "enqueue" })
  yield* follow(asking, holds ? "\"type\":\"tool_approval\"" : "\"type\":\"done\"")
  yield* follow(holding, holds ? "\"type\":\"text\"" : "\"type\":\"done\"")
  const webhook = yield* send("POST", "/webhooks", { url: `https://${word.toLowerCase()}.example/`, content: true })
  const tasks = yield* send("GET", "/tasks?limit=1")
  const conversations = yield* send("GET", "/conversations?limit=1")
  const messages = yield* send("GET", `/conversations/${text(first["conversationId"])}/messages?limit=1`)
  const all = yield* send("GET", "/tasks?limit=100")
  const ticket = text((yield* send("POST", "/tickets", {}))["ticket"])
  const cursor = conversations["next"]
  return {
    tasks: idsOf(all),
    conversations: [first, asking, holding].map((task) => text(task["conversationId"])),
    webhooks: [text(webhook["id"])],
    messages: idsOf(messages),
    cursors: [text(tasks["next"]), typeof cursor === "string" ? cursor : JSON.stringify(cursor ?? {})],
    keys: [key],
    calls: ["call-1"],
    tickets: [ticket]
  } satisfies Known
})
