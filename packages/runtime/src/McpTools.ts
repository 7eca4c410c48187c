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
import { McpClient, type McpClientError, McpProtocol, type McpSchema, Tool } from "effect/ai"
import { HttpClient } from "effect/http"
import { type ChildProcess, ChildProcessSpawner } from "effect/process"
import { type AgentTools, failed, SafeToRepeat, Timeout, type ToolOutcome } from "./AgentTools.ts"
import { type Connection, keepConnected } from "./internal/mcp/connection.ts"

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
  /** The revision of the protocol; 2025-11-25 by default. */
  readonly protocol?: McpProtocol.ProtocolAdapter<McpClient.ProtocolVersion> | undefined
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
  const protocol = options.protocol ?? McpProtocol.v2025_11_25
  const open = (lost: Effect.Effect<void>) =>
    McpClient.stdio({ command: options.command, protocol }).pipe(
      // Notices the death of the process also when there is no call.
      Effect.provideService(
        ChildProcessSpawner.ChildProcessSpawner,
        ChildProcessSpawner.make((command) =>
          Effect.tap(
            spawner.spawn(command),
            (handle) => Effect.forkScoped(Effect.andThen(Effect.exit(handle.exitCode), lost))
          )
        )
      )
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
  const client = yield* HttpClient.HttpClient
  const protocol = options.protocol ?? McpProtocol.v2025_11_25
  const { headers, url } = options
  const open = () => Effect.provideService(McpClient.http({ url, headers, protocol }), HttpClient.HttpClient, client)
  return yield* fromTransport(options, open, isExpired)
})

type Failure = McpClientError.McpClientError

/** Requests over HTTP are independent of each other. Only a session can be lost. */
const isExpired = ({ reason }: Failure): boolean => reason._tag === "ClosedError" && reason.sessionExpired === true

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

const fromTransport = Effect.fnUntraced(function*(
  options: McpOptions,
  open: (lost: Effect.Effect<void>) => Effect.Effect<McpClient.Transport, Failure, Scope.Scope>,
  isLost: (error: Failure) => boolean
): Effect.fn.Return<AgentTools, never, Scope.Scope> {
  if (!/^[a-zA-Z0-9_-]{1,32}$/.test(options.name)) {
    return yield* Effect.die(
      new Error(`The name "${options.name}" of an MCP server is not of 1 to 32 letters, digits, "_" and "-".`)
    )
  }
  const timeout = Duration.fromInputUnsafe(options.connectTimeout ?? "10 seconds")
  let known: KnownTools = { tools: {}, remote: new Map() }

  const { connected } = yield* keepConnected({
    name: options.name,
    timeout,
    open: (lost) =>
      Effect.flatMap(open(lost), (transport) =>
        Effect.provideService(
          McpClient.make({ name: "perennial", version: "0.1.0", timeout }),
          McpClient.Transport,
          transport
        )),
    onTools: Effect.fnUntraced(function*(found) {
      known = yield* toTools(options, found)
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
      Effect.catchIf(isExpired, () => once),
      Effect.catch((error) =>
        Effect.succeed(failed(`The call of the MCP server "${options.name}" failed: ${told(error)}`))
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

/** The result of a call without an answer. */
const told = (error: Failure): string => {
  const { reason } = error
  const unknown = reason._tag === "TransportError" || reason._tag === "ClosedError" ||
    (reason._tag === "HttpError" && reason.status >= 500)
  return unknown ? `${error.message}. Whether it was executed is not known.` : error.message
}

interface KnownTools {
  readonly tools: Readonly<Record<string, Tool.Any>>
  /** The server's names by ours. */
  readonly remote: ReadonlyMap<string, string>
}

/** Models take names of letters, digits, `_` and `-` only. */
const toName = (server: string, tool: string): string => `${server}__${tool.replace(/[^a-zA-Z0-9_-]/g, "_")}`

const toTools = Effect.fnUntraced(function*(options: McpOptions, found: ReadonlyArray<McpSchema.Tool>) {
  const tools: Record<string, Tool.Any> = {}
  const remote = new Map<string, string>()
  for (const tool of found) {
    const name = toName(options.name, tool.name)
    if (name.length > 64 || remote.has(name)) {
      const why = remote.has(name) ? "another one has the same name" : "its name is too long"
      yield* Effect.logWarning(`The tool "${tool.name}" of the MCP server "${options.name}" is left out: ${why}.`)
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

const toOutcome = (result: McpSchema.CallToolResult): ToolOutcome => ({
  status: result.isError === true ? "error" : "completed",
  // It came as JSON.
  result: result.structuredContent === undefined
    ? result.content.map(toText).join("\n")
    : result.structuredContent as Schema.Json
})

const toText = (block: McpSchema.ContentBlock): string => {
  switch (block.type) {
    case "text":
      return block.text
    case "resource_link":
      return `${block.title ?? block.name}: ${block.uri}`
    case "resource":
      return "text" in block.resource ? block.resource.text : `[${block.resource.uri}: not a text]`
    default:
      return `[${block.type} of type ${block.mimeType}: not a text]`
  }
}
