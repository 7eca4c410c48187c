/**
 * Replies of the fakes of model APIs, in words that all APIs have: `FakeOpenAi` and `FakeGemini` write them in the format of
 * their API, and `ModelContract` asks every provider with them.
 *
 * @since 0.1.0
 */
import { type Effect, Schema } from "effect"

/**
 * A kind of failure that every API can report.
 *
 * @since 0.1.0
 * @category models
 */
export type FailureKind =
  | "rate-limited"
  | "overloaded"
  | "internal"
  | "unauthorized"
  | "forbidden"
  | "quota"
  | "unknown-model"
  | "too-long"
  | "refused"
  | "unreadable-file"
  | "invalid"

/**
 * A part of an answer, or an event in the middle of it.
 *
 * @since 0.1.0
 * @category models
 */
export type Action =
  /** `citations` are sources that the text cites, for APIs that say where: the Responses API. */
  | {
    readonly text: ReadonlyArray<string>
    readonly citations?: ReadonlyArray<{ readonly url: string; readonly title: string }>
  }
  /** `state` is what the model must get back: encrypted reasoning or a signature. */
  | { readonly reasoning: ReadonlyArray<string>; readonly state?: string }
  /** `state` is a signature, for APIs that sign calls. */
  | {
    readonly call: {
      readonly id: string
      readonly name: string
      readonly args: Schema.Json
      readonly state?: string
    }
  }
  /** A call whose arguments are these characters. Gemini has arguments in JSON only: it says that the call is malformed. */
  | { readonly brokenCall: { readonly id: string; readonly name: string; readonly json: string } }
  /** A search that the API executes itself, and what it found: in the Responses API and in Gemini's API. */
  | {
    readonly search: {
      readonly query: string
      readonly sources: ReadonlyArray<{ readonly url: string; readonly title: string }>
    }
  }
  /** Milliseconds before each of the following pieces. */
  | { readonly drip: number }
  /** A sign of life that is no part of the answer. */
  | { readonly keepAlive: true }
  /** A failure in the middle of the answer: the status was 200. */
  | { readonly fail: FailureKind }
  /** The connection is reset, or the body ends early. */
  | { readonly cut: "reset" | "end" }
  /** The answer stops, and the connection stays open. */
  | { readonly hang: true }
  /** Bytes as they are. */
  | { readonly raw: string }
  /** An effect of the test, before the next event. */
  | { readonly run: Effect.Effect<unknown> }

/**
 * Numbers of tokens. `input` includes `cached`, and `output` includes `reasoning`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Usage {
  readonly input: number
  readonly cached: number
  readonly output: number
  readonly reasoning: number
}

/**
 * An answer, streamed or in one piece, as the request asks for it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly actions: ReadonlyArray<Action>
  /** `stop` by default, or `tool-calls` if there are calls. `error`: the model says itself that it has failed. */
  readonly finish?: "stop" | "length" | "content-filter" | "error"
  readonly usage?: Usage
}

/**
 * A failure in the words of the API.
 *
 * @since 0.1.0
 * @category models
 */
export interface Failure {
  readonly failure: FailureKind
  /** The API asks clients to wait so long. */
  readonly retryAfterSeconds?: number
}

/**
 * A response as it is, or none at all.
 *
 * @since 0.1.0
 * @category models
 */
export interface HttpReply {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** There is no response, or the connection is reset. */
  readonly instead?: "hang" | "reset"
}

/**
 * What a fake answers to one request.
 *
 * @since 0.1.0
 * @category models
 */
export type Reply = Answer | Failure | HttpReply

/**
 * A request as it arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecordedRequest<Body = unknown> {
  readonly path: string
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  readonly body: Body
  /** `aborted`: the client closed the connection before the end of the answer. */
  readonly end: Effect.Effect<"sent" | "aborted">
}

/**
 * A fake of a model API.
 *
 * @since 0.1.0
 * @category models
 */
export interface FakeApi<Body = unknown> {
  /** The address without a path. Any key is accepted. */
  readonly url: string
  /** Replies, taken in order. */
  readonly push: (...replies: ReadonlyArray<Reply>) => Effect.Effect<void>
  /** Replies when no scripted reply is left. Without it such a request is answered 500. */
  readonly otherwise: (reply: (request: RecordedRequest<Body>) => Reply) => Effect.Effect<void>
  /** The last 1,000. */
  readonly requests: Effect.Effect<ReadonlyArray<RecordedRequest<Body>>>
  /** The next request that arrives, each once. */
  readonly nextRequest: Effect.Effect<RecordedRequest<Body>>
}

/**
 * The fake of an API cannot listen.
 *
 * @since 0.1.0
 * @category errors
 */
export class ListenError extends Schema.TaggedError<ListenError>()("ListenError", {
  api: Schema.String,
  port: Schema.Int,
  reason: Schema.String
}) {
  override get message() {
    return `The fake of the API of ${this.api} cannot listen on port ${this.port}: ${this.reason}`
  }
}
