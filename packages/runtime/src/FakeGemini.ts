/**
 * A fake of Gemini's API for tests: a server on a real socket, for the real provider package. It answers from a script, fails
 * on request, records its requests, and refuses the requests that the real API refuses. It needs Node.js.
 *
 * Formats and rules are from the schemas of the provider package and the API's documentation; they were not verified against
 * the real API.
 *
 * @since 0.1.0
 */
// @effect-diagnostics nodeBuiltinImport:off
import { Context, Effect, Layer, type Scope } from "effect"
import type { Answer, FakeApi, ListenError } from "./FakeReply.ts"
import * as Server from "./internal/fakeApi/server.ts"
import * as Rules from "./internal/gemini/fakeRules.ts"
import { allParts, failure, invalid, steps, whole } from "./internal/gemini/fakeWire.ts"
import { objectOf } from "./internal/openai/fakeRules.ts"

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
 * A running server, and its script. The provider package needs its `url` with `/v1beta`.
 *
 * @since 0.1.0
 * @category services
 */
export class FakeGemini extends Context.Service<FakeGemini, FakeApi<Body>>()("@perennial/runtime/FakeGemini") {
  /** A server that ends with the scope of the layer. */
  static readonly layerWith = (options: Options): Layer.Layer<FakeGemini, ListenError> =>
    Layer.effect(this, Effect.suspend(() => make(options)))

  /** On a free port. */
  static readonly layer: Layer.Layer<FakeGemini, ListenError> = this.layerWith({})
}

const methodOf = (path: string): string | undefined =>
  /^\/v1beta\/models\/[^/:]+:(streamGenerateContent|generateContent)(?:\?|$)/.exec(path)?.[1]

const wire = (): Server.Wire<Body> => {
  const issued: Rules.Issued = { signatures: new Set(), calls: new Map() }
  let count = 0

  const issue = (answer: Answer): Answer => {
    for (const { functionCall: call, thoughtSignature: signature } of allParts(answer)) {
      if (signature === undefined) continue
      issued.signatures.add(signature)
      if (call !== undefined) issued.calls.set(Rules.keyOf(call), signature)
    }
    return answer
  }

  return {
    failure,
    refusalOf: ({ path, request }) => {
      if (methodOf(path) === undefined || request.method !== "POST") return { status: 404, body: "" }
      return request.headers["x-goog-api-key"] === undefined ? failure({ failure: "unauthorized" }, false) : undefined
    },
    accept: (path, body) => {
      const problem = Rules.problemOf(body, issued)
      const id = `answer_${++count}`
      return {
        body: objectOf(body),
        exchange: problem === undefined
          ? {
            streamed: methodOf(path) === "streamGenerateContent",
            steps: (answer) => steps(issue(answer), body, id),
            whole: (answer) => whole(issue(answer), body, id)
          }
          : invalid(problem)
      }
    }
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
): Effect.Effect<FakeGemini["Service"], ListenError, Scope.Scope> => Server.make({ port, wire: wire(), api: "Gemini" })
