/**
 * An agent that emits the texts that the user's message asks for, and an HTTP server inside the test.
 */
import * as Agent from "@perennial/domain/Agent"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import * as Message from "@perennial/domain/Message"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import * as Usage from "@perennial/domain/Usage"
import * as NodeServer from "@perennial/http/NodeServer"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Array, Effect, Latch, Layer } from "effect"
import { type HttpRouter, HttpServer } from "effect/http"

export const text = (content: string): AgentEvent => ({ type: "text", content })

export const message = (content: string): AgentEvent => ({
  type: "message",
  message: { role: "assistant", content: [{ type: "text", text: content }] },
  usage: Usage.zero
})

/**
 * For the message `"<name> 500 gate 500"` the agent emits 500 text events with that name, waits for the gate, and emits 500
 * more. Each `emit` has `batch` events. The events of a task are `ack`, `started`, the texts, `message` and `done`.
 */
export const makeTalker = (batch = 1) => {
  const gate = Latch.makeUnsafe(false)
  const agent = Agent.make(
    "talker",
    Effect.fnUntraced(function*({ history }, emit) {
      const [name = "", ...words] = Message.text(history.at(-1) ?? Message.userText("")).split(" ")
      for (const word of words) {
        if (word === "gate") yield* gate.await
        else {
          for (let said = 0; said < Number(word); said += batch) {
            yield* emit(Array.makeBy(Math.min(batch, Number(word) - said), (i) => text(`${name} ${said + i + 1}`)))
          }
        }
      }
      yield* emit([message(`${name} is done`)])
      return { usage: Usage.zero }
    })
  )
  return { agent, gate }
}

/** Serves an agent over HTTP on a free port. The layer also provides the task manager and the store. */
export const layer = <E>(
  agent: Agent.Agent,
  store: Layer.Layer<TaskBackend | ConversationStore, E>,
  options?: Server.Options & Omit<NodeServer.Options, "port"> & {
    readonly routes?: Layer.Layer<never, never, HttpRouter.HttpRouter>
  }
) =>
  Server.serve(Layer.merge(Server.layerRoutes(options), options?.routes ?? Layer.empty), options).pipe(
    Layer.provide(Tokens.layerLocal),
    Layer.provideMerge(NodeServer.layer({ port: 0, shutdownTimeout: 0, ...options })),
    Layer.provideMerge(TaskRuntime.layer),
    Layer.provide(Agent.Agents.layer([agent])),
    Layer.provideMerge(store)
  )

export const address = Effect.map(HttpServer.HttpServer, (server) => HttpServer.formatAddress(server.address))
