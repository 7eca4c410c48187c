/** A double of an MCP server process inside the test. It counts its starts, and a test can let it die. */
import { type Cause, Deferred, Effect, Latch, Layer, Queue, Schema, Sink, Stream } from "effect"
import { ChildProcessSpawner } from "effect/process"

const Request = Schema.fromJsonString(Schema.Struct({
  id: Schema.optionalKey(Schema.Int),
  method: Schema.String,
  params: Schema.optionalKey(Schema.Json)
}))
const Call = Schema.Struct({ name: Schema.String, arguments: Schema.optionalKey(Schema.Json) })

const tool = (name: string, annotations: Schema.Json = {}) => ({
  name,
  description: `Does ${name}`,
  inputSchema: { type: "object" },
  annotations
})

export class McpServerDouble {
  /** The number of started processes. */
  starts = 0
  /** The requests in order: `call echo {}`, `cancelled`. */
  readonly asked: Array<string> = []
  /** Whether the start of a process fails. */
  absent = false
  /** The revision of the protocol that the server implements. */
  version = "2025-11-25"
  /** Lines that the server writes before each answer. */
  noise: ReadonlyArray<string> = []
  /** Additional fields of each answer, which the protocol does not define. */
  envelope: Record<string, unknown> = {}
  /** Whether processes die right after their start. */
  broken = false
  tools: ReadonlyArray<Schema.Json> = [
    tool("echo", { readOnlyHint: true }),
    tool("hang"),
    tool("refuse"),
    tool("structured"),
    tool("dotted.name"),
    tool("x".repeat(64))
  ]
  /** Open after `hang` was called. */
  readonly hanging = Latch.makeUnsafe()
  /** Open after a call was cancelled. */
  readonly cancelled = Latch.makeUnsafe()
  #exit = Deferred.makeUnsafe<ChildProcessSpawner.ExitCode>()

  /** Lets the process die. */
  readonly die: Effect.Effect<void> = Effect.suspend(() =>
    Effect.asVoid(Deferred.succeed(this.#exit, ChildProcessSpawner.ExitCode(137)))
  )

  #answer(method: string, params: Schema.Json | undefined): Schema.Json | undefined {
    switch (method) {
      case "initialize":
        return {
          protocolVersion: this.version,
          capabilities: { tools: {} },
          serverInfo: { name: "double", version: "1.0.0" }
        }
      case "tools/list":
        return { tools: this.tools }
      case "tools/call":
        return this.#call(Schema.decodeUnknownSync(Call)(params))
      case "notifications/cancelled":
        this.asked.push("cancelled")
        this.cancelled.openUnsafe()
        return undefined
      default:
        return undefined
    }
  }

  #call({ arguments: args = {}, name }: typeof Call.Type): Schema.Json | undefined {
    this.asked.push(`call ${name} ${JSON.stringify(args)}`)
    switch (name) {
      case "hang":
        this.hanging.openUnsafe()
        return undefined
      case "refuse":
        return { content: [{ type: "text", text: "not today" }], isError: true }
      case "structured":
        return { content: [{ type: "text", text: "{}" }], structuredContent: { degrees: 4 } }
      default:
        return { content: [{ type: "text", text: JSON.stringify(args) }] }
    }
  }

  readonly spawner = Layer.sync(
    ChildProcessSpawner.ChildProcessSpawner,
    () =>
      ChildProcessSpawner.make(() =>
        Effect.suspend(() => {
          this.starts++
          // The start fails after some time, so that concurrent calls share one start.
          if (this.absent) {
            return Effect.andThen(Effect.repeat(Effect.yieldNow, { times: 20 }), Effect.die("no program"))
          }
          return this.#start
        })
      )
  )

  get #start() {
    const exit = this.#exit = Deferred.makeUnsafe()
    return Effect.gen({ self: this }, function*() {
      const output = yield* Queue.unbounded<string, Cause.Done>()
      yield* Effect.forkScoped(Effect.andThen(Deferred.await(exit), Queue.end(output)))
      if (this.broken) yield* Deferred.succeed(exit, ChildProcessSpawner.ExitCode(1))
      const stop = Effect.asVoid(Deferred.succeed(exit, ChildProcessSpawner.ExitCode(0)))
      const read = Sink.forEach((bytes: Uint8Array) =>
        Effect.forEach(new TextDecoder().decode(bytes).split("\n").filter((line) => line !== ""), (line) => {
          const { id, method, params } = Schema.decodeSync(Request)(line)
          const result = this.#answer(method, params)
          return id === undefined || result === undefined
            ? Effect.void
            : Queue.offer(
              output,
              [...this.noise, JSON.stringify({ ...this.envelope, jsonrpc: "2.0", id, result })].map((line) =>
                `${line}\n`
              ).join("")
            )
        })
      )
      return ChildProcessSpawner.makeHandle({
        pid: ChildProcessSpawner.ProcessId(this.starts),
        exitCode: Deferred.await(exit),
        isRunning: Effect.map(Deferred.isDone(exit), (done) => !done),
        kill: () => stop,
        // A server ends when its standard input ends.
        stdin: Sink.onExit(read, () => stop),
        stdout: Stream.encodeText(Stream.fromQueue(output)),
        stderr: Stream.empty,
        all: Stream.empty,
        getInputFd: () => Sink.drain,
        getOutputFd: () => Stream.empty,
        unref: Effect.succeed(Effect.void)
      })
    })
  }
}
