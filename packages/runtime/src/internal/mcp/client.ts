/** Connects to an MCP server in the revision that it speaks, and reads its results liberally. */
import { type Duration, Effect, Exit, Scope } from "effect"
import { McpClient, type McpClientError } from "effect/ai"
import { type Adapter, adapterOf, forClient, newest, nextAdapter } from "./negotiation.ts"
import { type LeftOut, readResult } from "./results.ts"

type Failure = McpClientError.McpClientError

export interface ClientOptions {
  /** The only revision to try. Without it each is tried. */
  readonly protocol: Adapter | undefined
  /** Of the first requests. */
  readonly timeout: Duration.Duration
  readonly onLeftOut: (leftOut: LeftOut) => Effect.Effect<void>
}

export type OpenTransport = (
  protocol: ReturnType<typeof forClient>,
  lost: Effect.Effect<void>
) => Effect.Effect<McpClient.Transport, Failure, Scope.Scope>

/** A transport whose results are read liberally. `onVersion` gets the revision that the server answers with. */
const readingResults = (
  transport: McpClient.Transport,
  { onLeftOut }: ClientOptions,
  onVersion: (version: unknown) => void
): McpClient.Transport => ({
  ...transport,
  request: Effect.fnUntraced(function*(message, tool) {
    const response = yield* transport.request(message, tool)
    if (response.error !== undefined) return response
    const { leftOut, result } = readResult(message.method, response.result)
    for (const tool of leftOut) yield* onLeftOut(tool)
    const read = (result: unknown) => ({ jsonrpc: response.jsonrpc, id: response.id, result })
    if (message.method !== "initialize" || typeof result !== "object" || result === null) return read(result)
    const version = "protocolVersion" in result ? result.protocolVersion : undefined
    onVersion(version)
    // A revision that is not known here is taken for the one that was asked for.
    return read(
      adapterOf(version) === undefined
        ? { ...result, protocolVersion: transport.protocol.protocolVersion }
        : result
    )
  })
})

export const makeClient = (open: OpenTransport, options: ClientOptions) => {
  /** The revision that the server has spoken before. */
  let known: Adapter | undefined

  const connect = Effect.fnUntraced(function*(
    lost: Effect.Effect<void>,
    tried: ReadonlyArray<Adapter>,
    adapter: Adapter
  ): Effect.fn.Return<McpClient.McpClient, Failure, Scope.Scope> {
    let offered: unknown
    let failed = false
    const attempt = yield* Scope.fork(yield* Effect.scope)
    const connected = yield* Effect.gen(function*() {
      // The end of a failed attempt is not that of the connection.
      const transport = yield* open(forClient(adapter), Effect.suspend(() => failed ? Effect.void : lost))
      return yield* Effect.provideService(
        McpClient.make({ name: "perennial", version: "0.1.0", timeout: options.timeout }),
        McpClient.Transport,
        readingResults(transport, options, (version) => {
          offered = version
        })
      )
    }).pipe(
      Scope.provide(attempt),
      Effect.onError((cause) => {
        failed = true
        return Scope.close(attempt, Exit.failCause(cause))
      }),
      Effect.result
    )
    if (connected._tag === "Success") {
      known = adapter
      return connected.success
    }
    const done = [...tried, adapter]
    const next = options.protocol === undefined ? nextAdapter(connected.failure, done, offered) : undefined
    return next === undefined ? yield* connected.failure : yield* connect(lost, done, next)
  })

  return (lost: Effect.Effect<void>): Effect.Effect<McpClient.McpClient, Failure, Scope.Scope> =>
    Effect.suspend(() => connect(lost, [], options.protocol ?? known ?? newest))
}
