/** The body of a response over HTTP comes through a bounded pipe, which may be cut after any byte. There are no sockets. */
import { Cause, Effect, Queue, Stream } from "effect"
import { HttpClientError, type HttpClientRequest } from "effect/http"

/** How many chunks of a body are on their way. A reader that stalls holds up the writer beyond it. */
const chunks = 4

type Failure = HttpClientError.HttpClientError

/** The body of one response, on its way from the process to the client. */
export class Pipe {
  readonly #queue: Queue.Queue<Uint8Array, Failure | Cause.Done>
  readonly #request: HttpClientRequest.HttpClientRequest
  /** How many bytes arrive before the connection is cut. */
  #left: number

  private constructor(
    queue: Queue.Queue<Uint8Array, Failure | Cause.Done>,
    request: HttpClientRequest.HttpClientRequest,
    bytes: number
  ) {
    this.#queue = queue
    this.#request = request
    this.#left = bytes
  }

  /** The fiber that makes a pipe also reads it: a queue wakes its readers with the scheduler of the fiber that made it. */
  static make(request: HttpClientRequest.HttpClientRequest, bytes: number): Effect.Effect<Pipe> {
    return Effect.map(
      Queue.bounded<Uint8Array, Failure | Cause.Done>(chunks),
      (queue) => new Pipe(queue, request, bytes)
    )
  }

  /** The failure of a connection that was cut. */
  get lost(): Failure {
    return new HttpClientError.HttpClientError({
      reason: new HttpClientError.TransportError({ request: this.#request })
    })
  }

  /** Whether the connection is cut before the end of a body of this size. */
  cutsBefore(bytes: number): boolean {
    return this.#left < bytes
  }

  cut(): void {
    Queue.failCauseUnsafe(this.#queue, Cause.fail(this.lost))
  }

  /** Writes a whole body. */
  write(body: Stream.Stream<Uint8Array, Failure>): Effect.Effect<void> {
    return Stream.runForEach(body, (chunk) => {
      const part = chunk.subarray(0, this.#left)
      this.#left -= part.length
      return Effect.andThen(
        Queue.offer(this.#queue, part),
        Effect.sync(() => {
          if (this.#left === 0) this.cut()
        })
      )
    }).pipe(
      Effect.matchCauseEffect({
        onSuccess: () => Effect.asVoid(Queue.end(this.#queue)),
        onFailure: () => Effect.sync(() => this.cut())
      })
    )
  }

  /** The body as it arrives. */
  get stream(): Stream.Stream<Uint8Array, Failure> {
    return Stream.fromQueue(this.#queue)
  }
}
