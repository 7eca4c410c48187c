/**
 * The connection to one MCP server, which is made again for as long as the scope is open: at most one attempt a second, at
 * least one every 30 seconds, and an earlier one when a call waits for it.
 */
import { Clock, Deferred, Duration, Effect, Latch, type Scope } from "effect"
import { type McpClient, McpClientError, type McpSchema } from "effect/ai"

export interface Connection {
  readonly client: McpClient.McpClient
  /** By the names that the server gives them. */
  readonly tools: ReadonlyMap<string, McpSchema.Tool>
  /** Gives up the connection. The next call gets a new one. */
  readonly lose: Effect.Effect<void>
}

export interface ConnectionOptions {
  readonly name: string
  /** Connects. The implementation runs `lost` when the connection is lost. */
  readonly open: (
    lost: Effect.Effect<void>
  ) => Effect.Effect<McpClient.McpClient, McpClientError.McpClientError, Scope.Scope>
  /** The time limit of one attempt, which includes reading the list of tools. */
  readonly timeout: Duration.Duration
  readonly onTools: (tools: ReadonlyArray<McpSchema.Tool>) => Effect.Effect<void>
}

const shortestPause = Duration.toMillis("1 second")
const longestPause = Duration.toMillis("30 seconds")

/**
 * Returns after the first attempt, whether it succeeded or not. `connected` is the present connection, or the outcome of the
 * next attempt.
 */
export const keepConnected = Effect.fnUntraced(function*(
  options: ConnectionOptions
): Effect.fn.Return<
  { readonly connected: Effect.Effect<Connection, McpClientError.McpClientError> },
  never,
  Scope.Scope
> {
  const wanted = yield* Latch.make()
  let current: Connection | undefined
  let next = yield* Deferred.make<Connection, McpClientError.McpClientError>()

  const open = Effect.fnUntraced(function*(lost: Deferred.Deferred<void>) {
    const lose = Effect.suspend(() => {
      // This is called before there is another connection, because the next attempt begins when this connection is lost.
      current = undefined
      return Deferred.succeed(lost, undefined)
    })
    const client = yield* options.open(lose)
    const tools = yield* client.listTools()
    if (Deferred.isDoneUnsafe(lost)) return yield* transportError("The server went away at once")
    yield* options.onTools(tools)
    const connection: Connection = { client, tools: new Map(tools.map((tool) => [tool.name, tool])), lose }
    return connection
  }, Effect.timeoutOrElse({ duration: options.timeout, orElse: () => Effect.fail(timedOut) }))

  const answer = (outcome: Effect.Effect<Connection, McpClientError.McpClientError>) =>
    Effect.suspend(() => {
      const waiting = next
      next = Deferred.makeUnsafe()
      wanted.closeUnsafe()
      return Deferred.complete(waiting, outcome)
    })

  const attempt = Effect.gen(function*() {
    const lost = yield* Deferred.make<void>()
    const connection = yield* open(lost)
    current = connection
    yield* Effect.logDebug(`The MCP server "${options.name}" is connected.`)
    yield* answer(Effect.succeed(connection))
    yield* Deferred.await(lost)
    yield* Effect.logWarning(`The connection to the MCP server "${options.name}" is lost.`)
    return 0
  }).pipe(Effect.scoped)

  const failed = (failures: number) => (error: McpClientError.McpClientError) =>
    Effect.gen(function*() {
      yield* Effect.logWarning(`The MCP server "${options.name}" cannot be reached: ${error.message}`)
      yield* answer(Effect.fail(error))
      return failures + 1
    })

  const supervise = Effect.gen(function*() {
    let failures = 0
    while (true) {
      const startedAt = yield* Clock.currentTimeMillis
      failures = yield* attempt.pipe(
        Effect.catchDefect((cause) =>
          Effect.fail(transportError("The connection failed with an internal error", cause))
        ),
        Effect.catch(failed(failures))
      )
      const elapsed = (yield* Clock.currentTimeMillis) - startedAt
      yield* Effect.sleep(Math.max(0, shortestPause - elapsed))
      const pause = failures === 0 ? 0 : Math.min(shortestPause * 2 ** (failures - 1), longestPause)
      yield* Effect.timeoutOption(wanted.await, Math.max(0, pause - shortestPause))
    }
  })

  const first = Deferred.await(next)
  yield* supervise.pipe(
    Effect.ensuring(answer(Effect.fail(transportError("The connection is closed")))),
    Effect.forkScoped
  )
  yield* Effect.ignore(first)

  const connected = Effect.suspend(() => {
    if (current !== undefined) return Effect.succeed(current)
    wanted.openUnsafe()
    return Deferred.await(next)
  })
  return { connected }
})

const transportError = (description: string, cause?: unknown) =>
  new McpClientError.McpClientError({ reason: new McpClientError.TransportError({ description, cause }) })

const timedOut = new McpClientError.McpClientError({
  reason: new McpClientError.TimeoutError({ operation: "connecting" })
})
