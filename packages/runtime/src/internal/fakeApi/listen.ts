/** The HTTP server of a fake model API. */
// @effect-diagnostics nodeBuiltinImport:off
import { Effect, FiberSet, type Scope } from "effect"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { ListenError } from "../../FakeReply.ts"

/** Listens on 127.0.0.1 until the scope ends, and returns its URL. An answer is interrupted when its connection closes. */
export const listen = Effect.fnUntraced(function*(options: {
  readonly api: string
  readonly port: number
  readonly answer: (request: IncomingMessage, response: ServerResponse) => Effect.Effect<void>
}): Effect.fn.Return<string, ListenError, Scope.Scope> {
  const fork = yield* FiberSet.makeRuntime()
  const server = createServer((request, response) => {
    const fiber = fork(options.answer(request, response))
    response.on("close", () => fiber.interruptUnsafe())
  })
  yield* Effect.acquireRelease(
    Effect.callback<void, ListenError>((resume) => {
      server.once("error", ({ message }) => {
        resume(Effect.fail(new ListenError({ api: options.api, port: options.port, reason: message })))
      })
      server.listen(options.port, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  const address = server.address()
  return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : options.port}`
})

export const readBody = (request: IncomingMessage): Effect.Effect<Buffer> =>
  Effect.callback((resume) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => resume(Effect.sync(() => Buffer.concat(chunks))))
  })
