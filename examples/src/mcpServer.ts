/**
 * An MCP server with two tools. It speaks over its standard streams, or over HTTP if it gets a port.
 *
 *     npx -y pnpm@12.21.0 exec node examples/src/mcpServer.ts [port]
 */
import { NodeHttpServer, NodeRuntime, NodeStdio } from "@effect/platform-node"
import { Effect, Layer, Logger, Schema } from "effect"
import { McpProtocol, McpServer, Tool, Toolkit } from "effect/ai"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"

const Add = Tool.make("add", {
  description: "Adds two numbers.",
  parameters: Schema.Struct({ a: Schema.Finite, b: Schema.Finite }),
  success: Schema.Finite
}).annotate(Tool.Readonly, true)

const Order = Tool.make("order", {
  description: "Orders books; it takes some seconds.",
  parameters: Schema.Struct({ copies: Schema.Int, seconds: Schema.Int }),
  success: Schema.String
})

const toolkit = Toolkit.make(Add, Order)

const registrations = McpServer.toolkit(toolkit).pipe(Layer.provide(toolkit.toLayer({
  add: ({ a, b }) => Effect.succeed(a + b),
  order: ({ copies, seconds }) =>
    Effect.logInfo(`Ordering ${copies}.`).pipe(
      Effect.andThen(Effect.sleep(seconds * 1_000)),
      Effect.as(`${copies} ordered`),
      Effect.onInterrupt(() => Effect.logInfo(`The order of ${copies} was cancelled.`))
    )
})))

const options = { name: "shop", version: "1.0.0", protocols: [McpProtocol.v2025_11_25], registrations } as const

const overStdio = McpServer.layerStdio(options).pipe(Layer.provide(NodeStdio.layer))

const overHttp = (port: number) =>
  HttpRouter.serve(McpServer.layerHttp({ ...options, path: "/mcp" })).pipe(
    Layer.provide(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port }))
  )

const port = process.argv[2]

// Over stdio the standard output is reserved for the protocol.
Layer.launch(port === undefined ? overStdio : overHttp(Number(port))).pipe(
  Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])),
  NodeRuntime.runMain
)
