/**
 * The responses of MCP servers over HTTP, as the client of `effect/ai` reads them: their messages are read liberally, and a
 * stream that ends before its answer is resumed with `Last-Event-ID` (MCP 2025-11-25, Streamable HTTP, resumability). A server
 * may end a stream at any time, to be polled.
 */
import { Duration, Effect, Result, Stream } from "effect"
import * as Sse from "effect/encoding/Sse"
import { HttpClient, type HttpClientError, HttpClientRequest, type HttpClientResponse } from "effect/http"
import { readMessages } from "./messages.ts"

type Client = HttpClient.HttpClient
type Body = Stream.Stream<Uint8Array, HttpClientError.HttpClientError>

/** Bytes of one event or body: a little more than the client accepts, so that the client refuses it. */
const maxBytes = 17 * 1024 * 1024

/** The pause before a stream is resumed, where the server does not name one, and the shortest pause. */
const defaultPause = Duration.seconds(1)
const shortestPause = Duration.millis(100)

/** A stream that is resumed so often without any event is given up. */
const maxSilent = 10

const mediaType = ({ headers }: HttpClientResponse.HttpClientResponse): string | undefined =>
  headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase()

/** The client reads `stream` only; all else of the response stays. */
const withBody = (response: HttpClientResponse.HttpClientResponse, body: Body): HttpClientResponse.HttpClientResponse =>
  Object.create(response, { stream: { value: body } })

const eventOf = (message: string): string => `data: ${message}\n\n`

/** The events of one answer, over as many responses as it takes. */
class ResumedStream {
  readonly #client: Client
  readonly #request: HttpClientRequest.HttpClientRequest
  /** The id of the last event, which the server names where it can resume. */
  #lastId: string | undefined
  #pause = defaultPause
  #silent = 0

  constructor(client: Client, request: HttpClientRequest.HttpClientRequest) {
    this.#client = client
    this.#request = request
  }

  read(body: Body): Body {
    const events: Array<string> = []
    const parser = Sse.makeParser((event) => {
      if (event._tag === "Retry") this.#pause = Duration.max(shortestPause, event.duration)
      if (event._tag !== "Event") return
      this.#silent = 0
      this.#lastId = event.id ?? this.#lastId
      for (const { text } of readMessages(event.data)) events.push(eventOf(text))
    }, { maxEventSize: maxBytes })
    const seen = body.pipe(
      Stream.decodeText(),
      Stream.map((text) => {
        const error = parser.feed(text)
        return error === undefined ? events.splice(0).join("") : eventOf("x".repeat(maxBytes))
      })
    )
    return Stream.encodeText(seen).pipe(
      // A connection that was cut, and a stream that the server has ended: the client reads on only without its answer.
      Stream.catch((error) => this.#lastId === undefined ? Stream.fail(error) : Stream.empty),
      Stream.concat(Stream.suspend(() => this.#resume()))
    )
  }

  #resume(): Body {
    const id = this.#lastId
    if (id === undefined || ++this.#silent > maxSilent) return Stream.empty
    const { "content-length": _, "content-type": __, ...headers } = this.#request.headers
    const request = HttpClientRequest.get(this.#request.url).pipe(
      HttpClientRequest.setHeaders({ ...headers, accept: "text/event-stream", "last-event-id": id })
    )
    const next = Effect.sleep(this.#pause).pipe(
      Effect.andThen(this.#client.execute(request)),
      Effect.result,
      Effect.map((response): Body => {
        // Without a connection there is another try after the pause.
        if (Result.isFailure(response)) return Stream.suspend(() => this.#resume())
        return response.success.status === 200 && mediaType(response.success) === "text/event-stream"
          ? this.read(response.success.stream)
          : Stream.empty
      })
    )
    return Stream.unwrap(next)
  }
}

/** The body has one answer, perhaps among other messages. A body without any message is for the client to refuse. */
const readBody = (text: string): string => {
  const messages = readMessages(text)
  return (messages.find(({ kind }) => kind === "answer") ?? messages[0])?.text ?? text
}

const readJson = (body: Body): Body =>
  Stream.unwrap(Effect.map(
    Stream.mkString(Stream.decodeText(Stream.limitBytes(body, maxBytes, () => Stream.empty))),
    (text) => Stream.encodeText(Stream.succeed(readBody(text)))
  ))

/** A client whose responses can be read by the client of `effect/ai`. */
export const liberal = (client: Client): Client =>
  HttpClient.transform(client, (effect, request) =>
    Effect.map(effect, (response) => {
      switch (mediaType(response)) {
        case "application/json":
          return withBody(response, readJson(response.stream))
        case "text/event-stream":
          return withBody(response, new ResumedStream(client, request).read(response.stream))
        default:
          return response
      }
    }))
