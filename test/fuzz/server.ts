/**
 * The complete server as one function, without a socket: memory or SQLite, users with tokens, webhooks, export and deletion, and
 * every face.
 */
import * as SqliteStore from "@perennial/backends/SqliteStore"
import { Agents, make as makeAgent } from "@perennial/domain/Agent"
import { UserId } from "@perennial/domain/Ids"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import * as Message from "@perennial/domain/Message"
import { zero } from "@perennial/domain/Usage"
import { UserData } from "@perennial/domain/UserData"
import * as Faces from "@perennial/http/Faces"
import * as NodeWebhookClient from "@perennial/http/NodeWebhookClient"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Layer, Logger, Redacted } from "effect"

export type Json = Readonly<Record<string, unknown>>

export interface Sent {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  /** Reads the answer only up to one of these texts: for a stream that does not end by itself. */
  readonly until?: ReadonlyArray<string>
}

export interface Answer {
  readonly status: number
  readonly headers: string
  readonly text: string
}

export type Call = (sent: Sent) => Effect.Effect<Answer>

export type Store = "memory" | "sqlite"

/** Repeats what it is told. `hold` waits for ever, and `approve` for a decision. */
const agent = makeAgent("echo", (input, emit) =>
  Effect.gen(function*() {
    const last = input.history[input.history.length - 1]
    const said = last === undefined ? "" : Message.text(last)
    const call = { tool: "pay", toolCallId: "call-1", args: { said } }
    yield* emit([{ type: "title", title: said.slice(0, 100) }, { type: "text", content: said }])
    if (said.endsWith("hold")) return yield* Effect.never
    if (said.endsWith("approve")) {
      yield* emit([{ type: "tool_approval", ...call }])
      yield* input.awaitDecision("call-1")
    }
    yield* emit([{
      type: "message",
      message: { role: "assistant", content: [{ type: "text", text: said }] },
      usage: zero
    }])
    return { usage: zero }
  }))

const users = Tokens.layer([
  { userId: UserId.make("victim"), secret: Redacted.make("victim-token") },
  { userId: UserId.make("attacker"), secret: Redacted.make("attacker-token") },
  { userId: UserId.make("olga"), secret: Redacted.make("olga-token"), roles: ["operator"] }
])

type Reader = ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>

const readUntil = async (reader: Reader, until: ReadonlyArray<string>, before = ""): Promise<string> => {
  const { done, value } = await reader.read()
  const text = before + (value === undefined ? "" : Buffer.from(value).toString("latin1"))
  if (done) return text
  if (!until.some((one) => text.includes(one))) return readUntil(reader, until, text)
  await reader.cancel()
  return text
}

const read = (response: Response, until: ReadonlyArray<string> | undefined): Promise<string> =>
  until === undefined || response.body === null || response.status !== 200
    ? response.text()
    : readUntil(response.body.getReader(), until)

/** Starts the server. It ends with the scope. */
export const make = (store: Store) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.map(Faces.load(Faces.names), (faces) =>
        Server.toWebHandler(
          UserData.layer.pipe(
            Layer.provideMerge(TaskRuntime.layer),
            Layer.provide(Agents.layer([agent])),
            Layer.provideMerge(
              Layer.fresh(store === "memory" ? MemoryStore.layer : SqliteStore.layer({ filename: ":memory:" }))
            ),
            Layer.merge(users),
            Layer.merge(NodeWebhookClient.layer()),
            // A line for each refused request would be most of the time.
            Layer.provideMerge(Logger.layer([]))
          ),
          // A reader of a stream without new events waits for a heartbeat.
          { heartbeat: "20 millis", faces }
        )),
      ({ dispose }) => Effect.promise(dispose)
    ),
    ({ handler }): Call => ({ body, headers, method, path, until }) =>
      Effect.promise(async () => {
        const response = await handler(
          new Request(`http://localhost:3000${path}`, { method, headers, ...(body === undefined ? {} : { body }) })
        )
        return {
          status: response.status,
          headers: JSON.stringify([...response.headers]),
          text: await read(response, until)
        }
      })
  )
