/**
 * The tools of MCP servers: a process that speaks over its standard streams, or a server over Streamable HTTP.
 *
 * The connection is made together with the tools. If it is lost, it is made again until the scope closes; a process is then
 * started again. If a server does not answer, the agent starts anyway, and the tools appear in the next model request after
 * the server has answered. Tools that were seen once stay. A call to a server that is not reachable gets an error as its
 * result, and never ends a task. Cancelling a task cancels the call in the server.
 *
 * @since 0.1.0
 */
import { Duration, Effect, Predicate, Result, type Schema, type Scope } from "effect"
import { McpClient, type McpClientError, type McpProtocol, type McpSchema, Tool } from "effect/ai"
import { HttpClient } from "effect/http"
import { type ChildProcess, ChildProcessSpawner } from "effect/process"
import { type AgentTools, failed, SafeToRepeat, Timeout, type ToolOutcome } from "./AgentTools.ts"
import { makeClient, type OpenTransport } from "./internal/mcp/client.ts"
import { type Connection, keepConnected } from "./internal/mcp/connection.ts"
import { liberal } from "./internal/mcp/httpStreams.ts"
import { describeFailure, isSessionLost, toOutcome } from "./internal/mcp/outcome.ts"
import { liberalSpawner } from "./internal/mcp/processStreams.ts"
import type { LeftOut } from "./internal/mcp/results.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface McpOptions {
  /**
   * The name of the server in logs and results, and the prefix of its tools: `<name>__<tool>`. 1 to 32 letters, digits, `_`
   * and `-`. A tool is left out, with a warning, if its full name has more than 64 characters or is not unique.
   */
  readonly name: string
  /** The only revision of the protocol to speak. Without it the revision is agreed with the server, 2025-11-25 if possible. */
  readonly protocol?: McpProtocol.ProtocolAdapter | undefined
  /** The time limit of one attempt to connect and to read the list of tools. 10 seconds by default. */
  readonly connectTimeout?: Duration.Input | undefined
  /** The time limit of a call, for all tools or for each (`AgentTools.Timeout`). The agent's `timeouts.tool` by default. */
  readonly timeout?: Duration.Input | ((tool: McpSchema.Tool) => Duration.Input | undefined) | undefined
  /** Which calls need the approval of a person. None by default. The hints of the server are in `tool.annotations`. */
  readonly needsApproval?: ((tool: McpSchema.Tool) => boolean) | undefined
}

/**
 * The tools of a server that this process starts.
 *
 * **Details**
 *
 * The process of the server starts and ends with the scope. `command` decides about its standard error.
 *
 * @since 0.1.0
 * @category constructors
 */
export const stdio = Effect.fnUntraced(function*(
  options: McpOptions & { readonly command: ChildProcess.Command }
): Effect.fn.Return<AgentTools, never, ChildProcessSpawner.ChildProcessSpawner | Scope.Scope> {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const open: OpenTransport = (protocol, lost) =>
    Effect.provideService(
      McpClient.stdio({ command: options.command, protocol }),
      ChildProcessSpawner.ChildProcessSpawner,
      liberalSpawner(spawner, lost)
    )
  return yield* fromTransport(options, open, isLostProcess)
})

/**
 * The tools of a server over Streamable HTTP.
 *
 * @since 0.1.0
 * @category constructors
 */
export const http = Effect.fnUntraced(function*(
  options: McpOptions & {
    readonly url: string | URL
    readonly headers?: Readonly<Record<string, string>> | undefined
  }
): Effect.fn.Return<AgentTools, never, HttpClient.HttpClient | Scope.Scope> {
  const client = liberal(yield* HttpClient.HttpClient)
  const { headers, url } = options
  const open: OpenTransport = (protocol) =>
    Effect.provideService(McpClient.http({ url, headers, protocol }), HttpClient.HttpClient, client)
  // Requests over HTTP are independent of each other. Only a session can be lost.
  return yield* fromTransport(options, open, isSessionLost)
})

type Failure = McpClientError.McpClientError

/** After a failure of its streams a process is of no use. An error with a code is an answer. */
const isLostProcess = ({ reason }: Failure): boolean => {
  switch (reason._tag) {
    case "TransportError":
    case "ClosedError":
    case "LimitError":
      return true
    case "ProtocolError":
      return reason.code === undefined
    default:
      return false
  }
}

const maxReported = 1_000

const fromTransport = Effect.fnUntraced(function*(
  options: McpOptions,
  open: OpenTransport,
  isLost: (error: Failure) => boolean
): Effect.fn.Return<AgentTools, never, Scope.Scope> {
  if (!/^[a-zA-Z0-9_-]{1,32}$/.test(options.name)) {
    return yield* Effect.die(
      new Error(`The name "${options.name}" of an MCP server is not of 1 to 32 letters, digits, "_" and "-".`)
    )
  }
  const timeout = Duration.fromInputUnsafe(options.connectTimeout ?? "10 seconds")
  let known: KnownTools = { tools: {}, remote: new Map() }

  /** The tools that were left out. Each is logged once. */
  const reported = new Set<string>()
  const onLeftOut = ({ name, why }: LeftOut): Effect.Effect<void> => {
    if (reported.has(name)) return Effect.void
    if (reported.size < maxReported) reported.add(name)
    return Effect.logWarning(`The tool "${name}" of the MCP server "${options.name}" is left out: ${why}.`)
  }

  const { connected } = yield* keepConnected({
    name: options.name,
    timeout,
    open: makeClient(open, { protocol: options.protocol, timeout, onLeftOut }),
    onTools: Effect.fnUntraced(function*(found) {
      known = yield* toTools(options, found, onLeftOut)
    })
  })

  const call = Effect.fnUntraced(function*(connection: Connection, name: string, args: Arguments) {
    const tool = connection.tools.get(name)
    if (tool === undefined) return failed("The MCP server does not have this tool any more.")
    const result = yield* Effect.tapError(
      connection.client.callTool({ tool, arguments: args }),
      (error) => isLost(error) ? connection.lose : Effect.void
    )
    return toOutcome(result)
  })

  const execute = (name: string, args: Arguments): Effect.Effect<ToolOutcome> => {
    const once = Effect.matchEffect(connected, {
      onFailure: (error) =>
        Effect.succeed(
          failed(`The MCP server "${options.name}" cannot be reached: ${error.message}. Nothing was called.`)
        ),
      onSuccess: (connection) => call(connection, name, args)
    })
    return once.pipe(
      // The server has refused the call, since it does not know the session: nothing was executed.
      Effect.catchIf(isSessionLost, () => once),
      Effect.catch((error) =>
        Effect.succeed(failed(`The call of the MCP server "${options.name}" failed: ${describeFailure(error)}`))
      )
    )
  }

  return {
    get tools() {
      return known.tools
    },
    prepare: ({ args, tool }) =>
      Effect.sync(() => {
        const name = known.remote.get(tool)
        if (name === undefined) return Result.fail(failed(`There is no tool "${tool}".`))
        if (!isArguments(args)) return Result.fail(failed("The arguments are not valid: they have to be an object."))
        return Result.succeed({
          needsApproval: () => Effect.succeed(known.tools[tool]?.needsApproval === true),
          execute: execute(name, args)
        })
      })
  }
})

type Arguments = { readonly [name: string]: Schema.Json }

const isArguments = (args: Schema.Json): args is Arguments =>
  Predicate.isReadonlyObject(args) && !globalThis.Array.isArray(args)

interface KnownTools {
  readonly tools: Readonly<Record<string, Tool.Any>>
  /** The server's names by ours. */
  readonly remote: ReadonlyMap<string, string>
}

/** Models take names of letters, digits, `_` and `-` only. */
const toName = (server: string, tool: string): string => `${server}__${tool.replace(/[^a-zA-Z0-9_-]/g, "_")}`

const toTools = Effect.fnUntraced(function*(
  options: McpOptions,
  found: ReadonlyArray<McpSchema.Tool>,
  onLeftOut: (leftOut: LeftOut) => Effect.Effect<void>
) {
  const tools: Record<string, Tool.Any> = {}
  const remote = new Map<string, string>()
  for (const tool of found) {
    const name = toName(options.name, tool.name)
    if (name.length > 64 || remote.has(name)) {
      const why = remote.has(name) ? "another one has the same name" : "its name is too long"
      yield* onLeftOut({ name: tool.name, why })
      continue
    }
    tools[name] = toTool(name, tool, options)
    remote.set(name, tool.name)
  }
  return { tools, remote }
})

const toTool = (name: string, tool: McpSchema.Tool, options: McpOptions): Tool.Any => {
  const hints = tool.annotations
  const readOnly = hints?.readOnlyHint === true
  const idempotent = hints?.idempotentHint === true
  const needsApproval = options.needsApproval?.(tool) === true
  const timeout = typeof options.timeout === "function" ? options.timeout(tool) : options.timeout
  return Tool.dynamic(name, { parameters: tool.inputSchema, description: tool.description, needsApproval })
    .annotate(Tool.Strict, false)
    .annotate(Tool.Title, tool.title ?? hints?.title ?? tool.name)
    .annotate(Tool.Readonly, readOnly)
    .annotate(Tool.Destructive, !readOnly && hints?.destructiveHint !== false)
    .annotate(Tool.Idempotent, idempotent)
    .annotate(SafeToRepeat, readOnly || idempotent)
    .annotate(Timeout, timeout)
}
