/** Writes the events of a streamed answer. */
// @effect-diagnostics nodeBuiltinImport:off
import { Effect } from "effect"
import type { ServerResponse } from "node:http"
import type { Action } from "../../FakeReply.ts"

/** What a fake writes next: bytes, a piece of the answer that `drip` delays, or an event that has no format of its own. */
export type Step =
  | { readonly write: string }
  | { readonly piece: string }
  | { readonly end: string }
  | Extract<Action, { readonly drip: number } | { readonly cut: unknown } | { readonly hang: true }>
  | Extract<Action, { readonly run: unknown }>

/** A server-sent event. */
export const event = (data: object | string, type?: string): string =>
  `${type === undefined ? "" : `event: ${type}\n`}data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`

/** In three pieces. */
export const inPieces = (json: string): ReadonlyArray<string> => {
  const size = Math.max(1, Math.ceil(json.length / 3))
  return [json.slice(0, size), json.slice(size, 2 * size), json.slice(2 * size)].filter((piece) => piece !== "")
}

/** Streams an answer. It is interrupted when the client closes the connection. */
export const writeSteps = Effect.fnUntraced(function*(response: ServerResponse, steps: ReadonlyArray<Step>) {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" })
  response.socket?.setNoDelay(true)
  response.flushHeaders()
  const write = (bytes: string) =>
    Effect.callback<void>((resume) => {
      if (response.write(bytes)) resume(Effect.void)
      else response.once("drain", () => resume(Effect.void))
    })
  let drip = 0
  for (const step of steps) {
    if ("write" in step) yield* write(step.write)
    else if ("piece" in step) {
      if (drip > 0) yield* Effect.sleep(drip)
      yield* write(step.piece)
    } else if ("run" in step) yield* step.run
    else if ("drip" in step) drip = step.drip
    else if ("hang" in step) return yield* Effect.never
    else if ("end" in step) {
      yield* write(step.end)
      break
    } else if (step.cut === "end") break
    else {
      // The client must have read the bytes that were written before.
      yield* Effect.sleep(5)
      return response.socket?.resetAndDestroy()
    }
  }
  return response.end()
})
