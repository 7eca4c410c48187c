/**
 * The HTTP/1.1 client of the benchmark. It uses one socket and no library. The same cheap client is used with both servers,
 * so that the figures depend mostly on the servers.
 */
import { connect, type Socket } from "node:net"

export interface Response {
  readonly status: number
  readonly body: string
}

type State = "head" | "length" | "size" | "chunk" | "crlf" | "trailer"

const end = Buffer.from("\r\n\r\n")
const nothing = Buffer.alloc(0)

/** One connection, one request at a time. */
export class Connection {
  readonly #socket: Socket
  readonly #port: number
  #rest: Buffer = nothing
  #state: State = "head"
  #left = 0
  #status = 0
  #sink: (slice: Buffer) => void = () => {}
  #reply = Promise.withResolvers<number>()

  private constructor(socket: Socket, port: number) {
    this.#socket = socket
    this.#port = port
    socket.setNoDelay(true)
    // A socket without an encoding delivers buffers.
    socket.on("data", (data) => this.#read(data as Buffer))
    socket.on("error", (error) => this.#reply.reject(error))
    socket.on("close", () => this.#reply.reject(new Error("the connection was closed")))
    // An idle connection may be closed while no request waits, and the rejection would be unhandled.
    this.#reply.promise.catch(() => {})
  }

  static open(port: number): Promise<Connection> {
    const opened = Promise.withResolvers<Connection>()
    const socket = connect(port, "127.0.0.1", () => opened.resolve(new Connection(socket, port)))
    socket.once("error", opened.reject)
    return opened.promise
  }

  /** Sends a request, and passes the body of the response to `sink` in slices. Returns the status after the last slice. */
  stream(method: string, path: string, headers: string, body: string, sink: (slice: Buffer) => void): Promise<number> {
    this.#sink = sink
    this.#reply = Promise.withResolvers()
    const length = body === "" ? "" : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`
    this.#socket.write(`${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1:${this.#port}\r\n${headers}${length}\r\n${body}`)
    return this.#reply.promise
  }

  async request(method: string, path: string, body = ""): Promise<Response> {
    let text = ""
    const status = await this.stream(method, path, "", body, (slice) => (text += slice.toString("utf8")))
    return { status, body: text }
  }

  close(): void {
    this.#socket.destroy()
  }

  #read(received: Buffer): void {
    const data = this.#rest.length === 0 ? received : Buffer.concat([this.#rest, received])
    let at = 0
    while (at < data.length) {
      if (this.#state === "length" || this.#state === "chunk") {
        const to = Math.min(data.length, at + this.#left)
        this.#sink(at === 0 && to === data.length ? data : data.subarray(at, to))
        this.#left -= to - at
        at = to
        if (this.#left > 0) break
        if (this.#state === "length") this.#finish()
        else this.#state = "crlf"
        continue
      }
      if (this.#state === "head") {
        const to = data.indexOf(end, at)
        if (to === -1) break
        this.#head(data.toString("latin1", at, to))
        at = to + end.length
        continue
      }
      const to = data.indexOf(10, at)
      if (to === -1) break
      if (this.#state === "size") {
        this.#left = Number.parseInt(data.toString("latin1", at, to), 16)
        this.#state = this.#left === 0 ? "trailer" : "chunk"
      } else if (this.#state === "crlf") this.#state = "size"
      else this.#finish()
      at = to + 1
    }
    this.#rest = at < data.length ? Buffer.from(data.subarray(at)) : nothing
  }

  #head(head: string): void {
    this.#status = Number(head.slice(9, 12))
    const length = /^content-length: *(\d+)/im.exec(head)
    if (/^transfer-encoding: *chunked/im.test(head)) this.#state = "size"
    else if (length !== null && length[1] !== "0") {
      this.#left = Number(length[1])
      this.#state = "length"
    } else this.#finish()
  }

  #finish(): void {
    this.#state = "head"
    this.#reply.resolve(this.#status)
  }
}

/** Divides a body into SSE frames, and checks that the ids follow the cursor without gaps. */
export class Frames {
  #rest: Buffer = nothing
  readonly #onFrame: (seq: number, data: Buffer, from: number, to: number) => void
  /** The id of the last event. */
  seq: number
  /** Whether the last frame asks the reader to connect again: a polite end of a stream before the end of its task. */
  saidGoodbye = false

  constructor(after: number, onFrame: (seq: number, data: Buffer, from: number, to: number) => void) {
    this.seq = after
    this.#onFrame = onFrame
  }

  push(slice: Buffer): void {
    const data = this.#rest.length === 0 ? slice : Buffer.concat([this.#rest, slice])
    let from = 0
    for (;;) {
      const to = data.indexOf("\n\n", from, "latin1")
      if (to === -1) break
      // An event begins with "id: 42\n", a goodbye with "retry:". Other frames are comments.
      this.saidGoodbye = data[from] === 114
      if (data[from] === 105) {
        let seq = 0
        for (let i = from + 4; i < to && data[i] !== 10; i++) seq = seq * 10 + (data[i] ?? 0) - 48
        if (seq !== this.seq + 1) throw new Error(`event ${seq} came after event ${this.seq}`)
        this.seq = seq
        this.#onFrame(seq, data, from, to)
      }
      from = to + 2
    }
    this.#rest = from < data.length ? Buffer.from(data.subarray(from)) : nothing
  }
}
