/**
 * A server in memory, and an agent that is controlled by the words of the user's message.
 */
import { assert } from "@effect/vitest"
import { type Agent, Agents, make as makeAgent } from "@perennial/domain/Agent"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import { UserId } from "@perennial/domain/Ids"
import * as MemoryWebhookStore from "@perennial/domain/MemoryWebhookStore"
import * as Message from "@perennial/domain/Message"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import type { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import { UserData } from "@perennial/domain/UserData"
import type { Authorization } from "@perennial/http/Authorization"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Array, Effect, Latch, Layer, Redacted } from "effect"
import { HttpServer } from "effect/http"
import { NetAddress } from "effect/net"

export interface Echo {
  readonly agent: Agent
  /** The word `hold` waits until this latch is open. */
  readonly gate: Latch.Latch
}

/**
 * An agent that repeats the words of the user's message, one event for each word. `hold` waits for the gate, `approve`
 * waits for a decision, `output` gives an output, `title` gives the conversation a title, `break` dies of a bug, and `10x100` emits 10 batches of 100 events.
 */
export const makeEcho = (): Echo => {
  const gate = Latch.makeUnsafe(false)
  const agent = makeAgent("echo", (input, emit) =>
    Effect.gen(function*() {
      const said = input.history[input.history.length - 1]
      const say = (content: string) => emit([{ type: "text", content }])
      for (const word of said === undefined ? [] : Message.text(said).split(" ")) {
        if (word === "hold") yield* gate.await
        if (word === "output") yield* emit([{ type: "output", output: { words: 1, at: "2026-11-30T12:00:00.000Z" } }])
        if (word === "title") yield* emit([{ type: "title", title: "A title" }])
        if (word === "break") return yield* Effect.die(new Error("secret connection string"))
        if (word === "approve") {
          yield* emit([{ type: "tool_approval", tool: "pay", toolCallId: "call/1", args: { cents: 5 } }])
          const decision = yield* input.awaitDecision("call/1")
          yield* say(decision.approved ? "approved" : "denied")
        }
        const [, times, size] = /^(\d+)x(\d+)$/.exec(word) ?? []
        const batch = Array.makeBy(Number(size ?? 1), (): AgentEvent => ({ type: "text", content: word }))
        for (let i = 0; i < Number(times ?? 1); i++) yield* emit(batch)
      }
      yield* emit([{
        type: "message",
        message: { role: "assistant", content: [{ type: "text", text: "done" }] },
        usage: zero
      }])
      return { usage: zero }
    }))
  return { gate, agent }
}

export const layerMemory = (echo: Echo) => TaskRuntime.layerMemory.pipe(Layer.provide(Agents.layer([echo.agent])))

/** With the export and the deletion of users. A layer is built once: the store of webhooks is that of `layerMemory`. */
const layerComplete = (echo: Echo) =>
  UserData.layer.pipe(Layer.provideMerge(layerMemory(echo)), Layer.provide(MemoryWebhookStore.layer))

export const layerTokens = Tokens.layer([
  { userId: UserId.make("alice"), secret: Redacted.make("alice-secret") },
  { userId: UserId.make("bob"), secret: Redacted.make("bob-secret") }
])

/** `Tokens.layerLocal` needs the address of the server. A web handler has none, so the tests provide a loopback address. */
export const layerLocal = Tokens.layerLocal.pipe(
  Layer.provide(Layer.succeed(
    HttpServer.HttpServer,
    HttpServer.make({
      address: NetAddress.inetAddressUnsafe(NetAddress.ipv4Loopback, 3000),
      serve: () => Effect.die("nothing is served here")
    })
  )),
  Layer.orDie
)

export type Call = (path: string, init?: RequestInit) => Effect.Effect<Response>

/** Returns a function that sends a request to the routes over these services, without a socket, and returns the response. */
export const makeCallOver = <E>(
  services: Layer.Layer<Authorization | TaskManager | ConversationStore, E>,
  options?: Server.Options
) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => Server.toWebHandler(services, options)),
      (web) => Effect.promise(() => web.dispose())
    ),
    (web): Call => (path, init) => Effect.promise(() => web.handler(new Request(`http://localhost:3000${path}`, init)))
  )

/** `makeCallOver` a server in memory. */
export const makeCall = (
  options?: {
    readonly echo?: Echo
    readonly auth?: Layer.Layer<Authorization>
    readonly server?: Server.Options
    /** The middleware that a test has added to the API. */
    readonly guards?: Layer.Layer<never>
  }
) =>
  makeCallOver(
    Layer.mergeAll(
      layerComplete(options?.echo ?? makeEcho()),
      options?.auth ?? layerLocal,
      options?.guards ?? Layer.empty
    ),
    options?.server
  )

/** All fields of answers that tests read. An answer has only some of them. */
export interface Fields {
  readonly id: string
  readonly type: string
  readonly status: string | number
  readonly detail: string
  readonly errors: ReadonlyArray<{ readonly path: ReadonlyArray<string | number> }>
  readonly items: ReadonlyArray<{
    readonly id: string
    readonly message: { readonly role: string }
    readonly preview?: string
    readonly replaces?: string
    readonly metadata?: unknown
  }>
  readonly next: string
  readonly preview: string
  readonly title: string
  readonly userId: string
  readonly events: ReadonlyArray<
    { readonly seq: number; readonly at: number; readonly event: { readonly type: string } }
  >
  readonly lastSeq: number
  readonly activeTaskId: string
  readonly conversationId: string
  readonly allow: ReadonlyArray<string>
  readonly paths: object
  readonly servers: ReadonlyArray<object>
  readonly agentId: string
  readonly metadata: object
  readonly replaces: string
  readonly limit: number
  readonly limitBytes: number
  readonly path: string
  readonly ok: boolean
  readonly after: number
  readonly ended: boolean
  readonly toolCallId: string
  readonly taskId: string
  readonly ticket: string
}

export const json = (response: Response): Effect.Effect<Fields> =>
  Effect.promise(() => response.json() as Promise<Fields>)

/** Decodes the body of an error response: each of them is a problem (RFC 9457). */
export const problem = Effect.fnUntraced(function*(response: Response) {
  assert.strictEqual(response.headers.get("content-type"), "application/problem+json")
  const value = yield* json(response)
  assert.strictEqual(value.status, response.status)
  assert.notProperty(value, "stack")
  return value
})

export const body = (response: Response): Effect.Effect<string> => Effect.promise(() => response.text())

/** Has no use for the rest of a response: a stream that is still open does not end by itself. */
export const discard = (response: Response): Effect.Effect<void> => Effect.promise(async () => response.body?.cancel())

export const post = (value: unknown, headers: Record<string, string> = {}): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify(value)
})
