/**
 * A server with faces, whose model does what the first word of the user's message says: `tell`, `look` (a tool), `pay` (a tool that
 * waits for a person), `stumble` (a failure after some text, and a second try), `fail`, `wait` (for the gate), `hold`.
 */
import type { Agents } from "@perennial/domain/Agent"
import type { Face } from "@perennial/http/Face"
import * as NodeServer from "@perennial/http/NodeServer"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Effect, Latch, Layer, Schema } from "effect"
import { AiError, type Prompt, Tool, Toolkit } from "effect/ai"
import { HttpServer } from "effect/http"

const Look = Tool.make("look", { parameters: Schema.Struct({ place: Schema.String }), success: Schema.String })
const Pay = Tool.make("pay", {
  parameters: Schema.Struct({ cents: Schema.Int }),
  success: Schema.Struct({ paid: Schema.Int }),
  needsApproval: true
})
const tools = Toolkit.make(Look, Pay)

const handlers = tools.toLayer({
  look: ({ place }) => Effect.succeed(`The ${place} is green.`),
  pay: ({ cents }) => Effect.succeed({ paid: cents })
})

const textOf = (message: Prompt.Message | undefined): string =>
  message?.role === "user" ? message.content.map((part) => part.type === "text" ? part.text : "").join("") : ""

const story = ScriptedModel.words("Once upon a time “there” was a völlig grüner garden 🌱, and nobody\n\nlooked at it.")

/** What the model says next, from the conversation alone, except for `stumble`: that one fails once. */
const makeTurn = (gate: Latch.Latch) => {
  const stumbled = new Set<string>()
  return ({ content }: Prompt.Prompt): ScriptedModel.Turn => {
    const from = content.findLastIndex((message) => message.role === "user")
    const said = content.slice(from).filter((message) => message.role === "assistant").length
    const text = textOf(content[from])
    switch (text.split(" ")[0]) {
      case "look":
        return said > 0 ? ["I see: ", ...story] : [
          { thinking: ["Where ", "is it?"] },
          "I look.",
          { tool: "look", params: { place: "garden" } },
          { tool: "look", params: { place: "house" } }
        ]
      case "pay":
        return said > 0 ? ["That ", "is done."] : ["I pay. ", { tool: "pay", params: { cents: 5 } }]
      case "stumble":
        if (stumbled.has(text)) return story
        stumbled.add(text)
        return [{ thinking: ["Void "] }, "This is void.", {
          fail: new AiError.InternalProviderError({ description: "" })
        }]
      case "fail":
        return ["Half an ", "answer", { fail: new AiError.AuthenticationError({ kind: "InvalidKey" }) }]
      case "wait":
        return ["I begin ", { run: gate.await }, "and ", "end."]
      case "hold":
        return ["I hold ", "on ", { never: true }]
      default:
        return [{ thinking: ["A story, ", "then."] }, ...story]
    }
  }
}

export const layerAgent = (gate: Latch.Latch): Layer.Layer<Agents> => {
  const turn = makeTurn(gate)
  return LlmAgent.layer({
    agentId: "assistant",
    systemPrompt: "You are under test.",
    tools,
    retry: { baseDelay: "1 millis" },
    model: ScriptedModel.layer({ otherwise: ({ prompt }) => turn(prompt) })
  }).pipe(Layer.provide(handlers))
}

/** Starts a server on a free port. It ends with the scope. */
export const start = Effect.fnUntraced(function*(faces: ReadonlyArray<Face>, agents?: Layer.Layer<Agents>) {
  const gate = Latch.makeUnsafe(false)
  const context = yield* Layer.build(
    Server.layer({ faces }).pipe(
      Layer.provide(Tokens.layerLocal),
      Layer.provide(TaskRuntime.layerMemory.pipe(Layer.provide(agents ?? layerAgent(gate)))),
      Layer.provideMerge(NodeServer.layer({ port: 0, shutdownTimeout: 0 }))
    )
  )
  const address = HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
  return { address, gate, port: Number(new URL(address).port) }
})
