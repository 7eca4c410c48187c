/**
 * Requests of an attacker, drawn from the OpenAPI document of the server: every operation, parameter, header and body of it, so that a
 * new endpoint is attacked as soon as it is documented.
 */
import type { Dice } from "../worlds/dice.ts"
import { fitting } from "./fitting.ts"
import type { Json, Sent } from "./server.ts"
import type { Known } from "./victim.ts"

interface Parameter {
  readonly name: string
  readonly in: "path" | "query" | "header" | "cookie"
  readonly schema: { readonly type?: string }
}

interface Operation {
  readonly method: string
  readonly path: string
  readonly parameters: ReadonlyArray<Parameter>
  readonly example: Json | undefined
}

interface Document {
  readonly paths: Readonly<
    Record<
      string,
      Readonly<
        Record<string, {
          readonly parameters?: ReadonlyArray<Parameter>
          readonly requestBody?: { readonly content: Readonly<Record<string, { readonly example?: Json }>> }
        }>
      >
    >
  >
}

export const operationsOf = (document: unknown): ReadonlyArray<Operation> =>
  // The server's own document.
  Object.entries((document as Document).paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      parameters,
      example: requestBody?.content["application/json"]?.example
    }))
  )

/** Texts that are a trap for queries, paths, parsers and logs. */
const traps: readonly [string, ...ReadonlyArray<string>] = [
  "x",
  "victim",
  "' OR '1'='1",
  "x') UNION SELECT payload FROM perennial_task_events --",
  "$where: 1",
  "../../victim",
  "%2e%2e/victim",
  "*",
  "{\"$ne\":null}",
  "[\"a\"]",
  "null",
  "__proto__",
  "constructor",
  "-1",
  "0",
  "1e309",
  "9007199254740993",
  "NaN",
  "true",
  "a".repeat(201),
  "é🌲",
  "\u0000",
  "\uD800",
  "a\r\nset-cookie: b",
  "{id}",
  "${jndi:ldap://a}",
  "perennial:conversations:victim"
]

const all = (known: Known): ReadonlyArray<string> =>
  [known.tasks, known.conversations, known.webhooks, known.messages, known.cursors, known.keys, known.calls].flat()

const a2aMethods = [
  "SendMessage",
  "SendStreamingMessage",
  "SubscribeToTask",
  "GetTask",
  "ListTasks",
  "CancelTask",
  "CreateTaskPushNotificationConfig",
  "GetTaskPushNotificationConfig",
  "ListTaskPushNotificationConfigs",
  "DeleteTaskPushNotificationConfig"
] as const

export class Attacker {
  readonly #dice: Dice
  readonly #operations: ReadonlyArray<Operation>
  readonly #victim: Known
  /** What the attacker has. */
  own: Known

  constructor(dice: Dice, operations: ReadonlyArray<Operation>, victim: Known, own: Known) {
    this.#dice = dice
    this.#operations = operations
    this.#victim = victim
    this.own = own
  }

  #from(values: ReadonlyArray<string>): string {
    const [first = "x", ...rest] = values
    return this.#dice.pick([first, ...rest])
  }

  /** A value for a parameter: mostly one of the victim that fits, sometimes the attacker's own, any id, or a trap. */
  #value(name: string, path: string): string {
    const luck = this.#dice.next()
    if (luck < 0.55) return this.#from(fitting(this.#victim, name, path))
    if (luck < 0.7) return this.#from(fitting(this.own, name, path))
    if (luck < 0.85) return this.#from(all(this.#victim))
    return this.#dice.pick(traps)
  }

  /** A ticket of the attacker, and what can be made of it and of a ticket of the victim without the secret. */
  #ticket(): string {
    const [own = "", foreign = ""] = [this.own.tickets[0], this.#victim.tickets[0]]
    const [content = "", tag = ""] = own.split(".")
    const [foreignContent = "", foreignTag = ""] = foreign.split(".")
    return this.#dice.pick([
      own,
      `${foreignContent}.${tag}`,
      `${content}.${foreignTag}`,
      `${foreignContent}.`,
      `${foreignContent}`,
      this.#dice.pick(traps)
    ])
  }

  #credentials(): { readonly headers: Readonly<Record<string, string>>; readonly query: ReadonlyArray<string> } {
    const luck = this.#dice.next()
    if (luck < 0.8) return { headers: { authorization: "Bearer attacker-token" }, query: [] }
    if (luck < 0.85) return { headers: {}, query: [`access_token=attacker-token`] }
    if (luck < 0.9) return { headers: { cookie: "access_token=attacker-token" }, query: [] }
    if (luck < 0.97) return { headers: {}, query: [`ticket=${encodeURIComponent(wellFormed(this.#ticket()))}`] }
    return { headers: luck < 0.99 ? {} : { authorization: "Bearer wrong" }, query: [] }
  }

  /** A call of a method of A2A, with ids of the victim. */
  #a2aCall(example: Json): Json {
    const value = (name: string) => this.#value(name, "")
    const params = this.#dice.pick<Json>([
      { id: value("taskId") },
      { taskId: value("taskId"), id: value("id") },
      { contextId: value("conversationId"), includeArtifacts: true, historyLength: 10 },
      {
        message: {
          messageId: value("idempotency-key"),
          taskId: this.#dice.pick(["", value("taskId")]),
          contextId: this.#dice.pick(["", value("conversationId")]),
          parts: [{ text: this.#dice.pick(["yes", "Hello"]) }]
        }
      },
      { taskId: value("taskId"), url: "https://attacker.example/" }
    ])
    return { ...example, method: this.#dice.pick(a2aMethods), params }
  }

  /** The fields of a value, also the inner ones, some of them with what they have of the victim, or with nonsense. */
  #vary(value: unknown, path: string): unknown {
    if (Array.isArray(value)) return value.map((one) => this.#vary(one, path))
    if (typeof value !== "object" || value === null) return value
    const varied = Object.entries(value).map(([name, inner]) => {
      if (this.#dice.chance(0.03)) return [name, this.#dice.pick<unknown>([null, [], {}, 1, "", true])]
      if (typeof inner === "string" && fitting(this.#victim, name, path).length > 0 && this.#dice.chance(0.3)) {
        return [name, this.#value(name, path)]
      }
      return [name, this.#vary(inner, path)]
    })
    return Object.fromEntries(varied)
  }

  /** Parameters that another method of MCP has. */
  #params(params: object): object {
    const named = ["id", "taskId", "requestState"].flatMap((name) =>
      this.#dice.chance(0.4) ? [[name, this.#value("taskId", "")]] : []
    )
    return { ...params, ...Object.fromEntries(named) }
  }

  /** A body like the example, with fields of the victim, and fields that only a weak server reads. */
  #body(example: Json, path: string): string {
    const isA2a = example["method"] === "SendMessage" && this.#dice.chance(0.9)
    const body: Record<string, unknown> = Object(this.#vary(isA2a ? this.#a2aCall(example) : example, path))
    const { params } = body
    if (path === "/mcp" && typeof params === "object" && params !== null) body["params"] = this.#params(params)
    for (const field of ["conversationId", "taskId", "replaces", "userId", "owner", "agentId", "metadata", "after"]) {
      if (!this.#dice.chance(0.15)) continue
      const value = field === "replaces" ? this.#from(this.#victim.messages) : this.#value(field, "")
      body[field] = field === "metadata" ? { owner: value } : value
    }
    for (const field of Object.keys(body)) {
      if (this.#dice.chance(0.1)) {
        body[field] = this.#dice.pick<unknown>([null, [], {}, 1, "", true, this.#dice.pick(traps)])
      }
    }
    if (this.#dice.chance(0.03)) return this.#dice.pick(["", "{", "[]", "null", `"${"x".repeat(1_000)}"`, "\u0000"])
    if (body["message"] !== undefined && this.#dice.chance(0.2)) {
      body["onBusy"] = this.#dice.pick(["enqueue", "interrupt"])
    }
    return JSON.stringify(body)
  }

  request(): Sent {
    const [first, ...rest] = this.#operations
    if (first === undefined) throw new Error("The document has no operations.")
    const { example, method, parameters, path } = this.#dice.pick([first, ...rest])
    const { headers: credentials, query: credential } = this.#credentials()
    const at = path.replaceAll(
      /\{(\w+)\}/g,
      (_, name: string) => encodeURIComponent(wellFormed(this.#value(name, path)))
    )
    const query = parameters
      .filter((parameter) => parameter.in === "query" && this.#dice.chance(0.4))
      .map(({ name }) => `${name}=${encodeURIComponent(wellFormed(this.#value(name, path)))}`)
    if (this.#dice.chance(0.1)) query.push(`userId=victim`, `user_id=victim`)
    const headers: Record<string, string> = { ...credentials }
    for (const { in: place, name } of parameters) {
      if (place === "header" && this.#dice.chance(0.3)) headers[name] = printable(this.#value(name, path))
    }
    if (this.#dice.chance(0.1)) headers["x-user-id"] = "victim"
    if (this.#dice.chance(0.2)) {
      headers["accept"] = this.#dice.pick(["application/json", "text/event-stream", "*/*", "text/html"])
    }
    const chosen = this.#dice.chance(0.03) ? this.#dice.pick(["PUT", "HEAD", "OPTIONS", "PATCH", "DELETE"]) : method
    const body = example === undefined || chosen === "GET" || chosen === "HEAD" ? undefined : this.#body(example, path)
    if (body !== undefined) headers["content-type"] = this.#dice.chance(0.97) ? "application/json" : "text/plain"
    const search = [...query, ...credential].join("&")
    return {
      method: chosen,
      path: search === "" ? at : `${at}?${search}`,
      headers,
      body,
      ...(endless.has(path) ? { until: ["data: ", ": ping"] } : undefined)
    }
  }
}

/** Streams that do not end. Their first event, or their first heartbeat, is the end of the answer. */
const endless: ReadonlySet<string> = new Set(["/feed", "/conversations/{id}/events"])

/** A URL and a header of a `Request` cannot have everything: the rest is for paths that are encoded by hand. */
const wellFormed = (text: string): string => text.toWellFormed()
const printable = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, "?").trim()
