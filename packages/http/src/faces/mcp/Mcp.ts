/**
 * The face for clients of the Model Context Protocol: agents are tools.
 *
 * A call of a tool starts a task, and its result is the answer of the agent. `docs/faces/mcp.md` says what a client has to know.
 *
 * Effect's `McpServer` keeps sessions in the memory of a process, and its streams cannot be resumed: a client would lose the answer
 * with its connection. This face has only what a server of tools needs, and every process can go on with every call.
 *
 * @since 0.1.0
 */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { type CursorAhead, StreamLost } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Layer, Option, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import type { Face } from "../../Face.ts"
import { admitted } from "../../internal/admitted.ts"
import * as FramedWire from "../../internal/framed.ts"
import { withProblems } from "../../internal/withProblems.ts"
import { CurrentPrincipal } from "../../Principal.ts"
import { InvalidRequest, MethodNotAllowed } from "../../Problems.ts"
import * as Sse from "../../Sse.ts"
import { type ClientMessage, McpApi, type RequestId } from "./McpApi.ts"
import * as McpCall from "./McpCall.ts"
import * as McpClient from "./McpClient.ts"
import * as McpMessages from "./McpMessages.ts"
import * as McpMethods from "./McpMethods.ts"
import * as McpRequest from "./McpRequest.ts"

const utf8 = new TextEncoder()

/** No log is shorter than nothing. */
const fromStart = <A, E, R>(self: Effect.Effect<A, E | CursorAhead, R>) =>
  Effect.catchTag(self, "CursorAhead", Effect.die)

const json = (message: object, headers: Record<string, string> = {}) =>
  HttpServerResponse.jsonUnsafe({ jsonrpc: "2.0", ...message }, { headers })

const accepted = HttpServerResponse.empty({ status: 202 })

const failure = (id: RequestId, { code, detail }: McpRequest.Refused) => json({ id, error: { code, message: detail } })

const malformed = (message: string) =>
  new InvalidRequest({ errors: [{ path: ["payload"], message }], detail: `payload: ${message}` })

const unsupported = (message: ClientMessage) =>
  new McpRequest.Refused({
    code: McpClient.isModern(message) ? -32_022 : -32_600,
    detail: `The revisions of the protocol are ${McpClient.versions.join(", ")}.`
  })

const mismatch = new McpRequest.Refused({ code: -32_020, detail: "The header Mcp-Method is not the method." })

const streamMethods: ReadonlySet<string> = new Set(["tools/call", "tasks/result"])

/** What the stream begins with: an event without a message, so that the client can resume it from the beginning. */
const wireFrom = (id: string, count: number): ReturnType<typeof FramedWire.framed> => {
  const wire = FramedWire.framed()
  const priming = utf8.encode(`: ok\n\nid: ${id}.${count}\ndata: \n\n`)
  return { ...wire, opening: () => priming }
}

const layerHandlers = HttpApiBuilder.group(
  McpApi,
  "mcp",
  Effect.fnUntraced(function*(handlers) {
    const manager = yield* TaskManager
    const streams = yield* Sse.EventStreams
    const methods = yield* McpMethods.make
    const admit = admitted(streams)

    /**
     * The messages of a call, but for the first `count` of them. The result is sent in any case: a client that gets none asks again
     * without a pause.
     */
    const stream = Effect.fnUntraced(function*(head: McpCall.Head, count: number, begun: boolean) {
      const { taskId } = head
      const id = McpCall.streamId(head)
      const events: Stream.Stream<StoredEvent, StreamLost> = yield* Effect.catch(
        fromStart(manager.events(taskId)),
        (error) =>
          begun ?
            Effect.succeed(Stream.fail(new StreamLost({ taskId, after: 0, reason: error.message }))) :
            Effect.fail(error)
      )
      const framed = Stream.suspend(() => {
        let state = McpCall.initial
        return events.pipe(
          Stream.map((stored) => {
            const { count: before } = state
            const made = McpMessages.step(head, state, stored)
            state = made.state
            const frames = made.messages.map((message, i) => {
              const number = before + i + 1
              const isNew = number > count || (state.ended && number === state.count)
              return isNew ? `id: ${id}.${number}\ndata: ${JSON.stringify(message)}\n\n` : ""
            })
            return { ...stored, frames: frames.join(""), isLast: state.ended }
          }),
          Stream.takeUntil(({ isLast }) => isLast),
          Stream.filter(({ frames }) => frames !== "")
        )
      })
      const userId = yield* CurrentUser
      const principal = yield* CurrentPrincipal
      const wire = head.primed ? wireFrom(id, count) : FramedWire.framed()
      return streams.response(framed, { wire, userId, expiresAt: principal?.expiresAt })
    })

    const reply = Effect.fnUntraced(function*(client: McpClient.Client, message: ClientMessage, id: RequestId) {
      const call = { client, message: { ...message, id }, params: message.params ?? {} }
      const replied = yield* methods.request(call)
      if (replied._tag === "Messages") return yield* stream(replied.head, 0, true)
      const { result, session } = replied
      return json({ id, result }, session === undefined ? {} : { "mcp-session-id": session })
    })

    const request = (client: McpClient.Client, message: ClientMessage, id: RequestId) =>
      Effect.catchTag(reply(client, message, id), "Refused", (refused) => Effect.succeed(failure(id, refused)))

    /** What has no reply. What it is about may be gone, and the client is not told. */
    const take = Effect.fnUntraced(
      function*(client: McpClient.Client, message: ClientMessage) {
        if (message.method === "notifications/cancelled") return yield* methods.cancelled(client, message)
        if (message.method === undefined) yield* methods.answered(message)
      },
      Effect.catchTags({
        Refused: () => Effect.void,
        ToolCallNotFound: () => Effect.void,
        TaskNotFound: () => Effect.void
      })
    )

    return handlers.handleAll({
      send: ({ headers, payload: message }) =>
        Effect.gen(function*() {
          const { id, method } = message
          if (method === undefined && id === undefined) return yield* malformed("Expected a method or an id")
          const client = McpClient.clientOf(message, headers)
          if (id === undefined || method === undefined) {
            if (client !== undefined) yield* withProblems(take(client, message))
            return accepted
          }
          if (client === undefined) return failure(id, unsupported(message))
          if (client.modern && (headers["mcp-method"] ?? method) !== method) return failure(id, mismatch)
          if (streamMethods.has(method)) yield* admit
          return yield* withProblems(request(client, message, id))
        }),
      resume: ({ headers }) =>
        Effect.gen(function*() {
          const place = McpCall.parseEventId(headers["last-event-id"] ?? "")
          if (Option.isNone(place)) {
            const detail = "GET /mcp resumes a stream after Last-Event-ID. Send messages with POST."
            return yield* new MethodNotAllowed({ allow: ["POST"], detail })
          }
          yield* admit
          const { count, head } = place.value
          return yield* withProblems(stream(head, count, false))
        })
    })
  })
)

/**
 * The face: `Server.layerRoutes({ faces: [Mcp.face] })`.
 *
 * @since 0.1.0
 * @category faces
 */
export const face: Face = {
  group: McpApi.groups.mcp,
  routes: HttpApiBuilder.layer(McpApi).pipe(Layer.provide(layerHandlers))
}
