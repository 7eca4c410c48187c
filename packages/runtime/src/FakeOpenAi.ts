/**
 * A fake of OpenAI's API for tests: a server on a real socket, for the real provider packages. It has the Responses API and
 * chat completions. It answers from a script, fails on request, records its requests, and refuses the requests that the real
 * API refuses. It needs Node.js.
 *
 * Formats and rules are from the schemas of the provider packages and the API's documentation; they were not verified against
 * the real API. `docs/testing.md` has a recipe.
 *
 * @since 0.1.0
 */
// @effect-diagnostics nodeBuiltinImport:off
import { Context, Effect, Layer, type Scope } from "effect"
import type { FakeApi, ListenError } from "./FakeReply.ts"
import * as Server from "./internal/fakeApi/server.ts"
import * as Chat from "./internal/openai/fakeChat.ts"
import * as Responses from "./internal/openai/fakeResponses.ts"
import * as Rules from "./internal/openai/fakeRules.ts"
import { failure, invalid } from "./internal/openai/fakeWire.ts"

/**
 * The body of a request, which is not checked further than by the rules of the API.
 *
 * @since 0.1.0
 * @category models
 */
export type Body = Readonly<Record<string, unknown>>

/**
 * Where the server listens.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** On 127.0.0.1; a free one by default. */
  readonly port?: number | undefined
}

/**
 * A running server, and its script. Provider packages need its `url` with `/v1`.
 *
 * @since 0.1.0
 * @category services
 */
export class FakeOpenAi extends Context.Service<FakeOpenAi, FakeApi<Body>>()("@perennial/runtime/FakeOpenAi") {
  /** A server that ends with the scope of the layer. */
  static readonly layerWith = (options: Options): Layer.Layer<FakeOpenAi, ListenError> =>
    Layer.effect(this, Effect.suspend(() => make(options)))

  /** On a free port. */
  static readonly layer: Layer.Layer<FakeOpenAi, ListenError> = this.layerWith({})
}

const isPath = (path: string, name: string): boolean => path.split("?")[0] === `/v1/${name}`

const wire = (): Server.Wire<Body> => {
  const issued: Rules.Issued = { models: new Map(), reasoning: new Map(), stored: new Set() }
  const thought = new Map<string, string>()
  let count = 0

  const responses = (input: unknown): Server.Exchange | ReturnType<typeof invalid> => {
    const accepted = Rules.checkResponses(input, issued)
    if (typeof accepted === "string") return invalid(accepted)
    const { model, stored, streamed } = accepted
    const context = { id: `resp_${++count}`, model, body: input }
    const issue = (answer: Parameters<Server.Exchange["whole"]>[0]) => {
      let reasoning: string | undefined
      for (const [, item] of Responses.itemsOf(answer, context.id)) {
        if (item.type === "reasoning") {
          reasoning = item.id
          issued.models.set(String(item["encrypted_content"]), model)
        } else if (reasoning !== undefined) issued.reasoning.set(item.id, reasoning)
        if (stored) issued.stored.add(item.id)
      }
      return answer
    }
    return {
      streamed,
      steps: (answer) => Responses.steps(issue(answer), context),
      whole: (answer) => Responses.whole(issue(answer), context)
    }
  }

  const chat = (input: unknown): Server.Exchange | ReturnType<typeof invalid> => {
    const accepted = Rules.checkChat(input, thought)
    if (typeof accepted === "string") return invalid(accepted)
    const { model, streamed } = accepted
    const context = { id: `chatcmpl_${++count}`, model, body: input }
    const issue = (answer: Parameters<Server.Exchange["whole"]>[0]) => {
      if (answer.actions.some((action) => "reasoning" in action)) {
        for (const action of answer.actions) if ("call" in action) thought.set(action.call.id, model)
      }
      return answer
    }
    return {
      streamed,
      steps: (answer) => Chat.steps(issue(answer), context),
      whole: (answer) => Chat.whole(issue(answer), context)
    }
  }

  return {
    failure,
    refusalOf: ({ path, request }) => {
      const known = isPath(path, "responses") || isPath(path, "chat/completions")
      if (!known || request.method !== "POST") return { status: 404, body: { error: { message: "Not found" } } }
      return request.headers.authorization === undefined ? failure({ failure: "unauthorized" }) : undefined
    },
    accept: (path, body) => ({
      body: Rules.objectOf(body),
      exchange: isPath(path, "responses") ? responses(body) : chat(body)
    })
  }
}

/**
 * Starts a server, which ends with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  { port = 0 }: Options = {}
): Effect.Effect<FakeOpenAi["Service"], ListenError, Scope.Scope> => Server.make({ port, wire: wire(), api: "OpenAI" })
