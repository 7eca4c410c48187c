/**
 * A proxy that cuts event streams after a number of frames: hard, in the middle of the body, or orderly, as a proxy with a time
 * limit does.
 */
import { Effect } from "effect"
import { makeCuttingProxy } from "../../packages/http/test/cuttingProxy.ts"

export type Cut = "hard" | "orderly"

export interface Options {
  readonly cut: Cut | ((stream: number) => Cut)
  /** How many frames of the n-th event stream, from 0, may pass. */
  readonly frames: (stream: number) => number
}

/** The number of characters up to the end of the `frames`-th frame with data; all of them if there are fewer. */
const allowed = (text: string, frames: number): number => {
  let end = 0
  for (let seen = 0; seen < frames;) {
    const next = text.indexOf("\n\n", end)
    if (next < 0) return Number.POSITIVE_INFINITY
    if (/^data:/m.test(text.slice(end, next))) seen++
    end = next + 2
  }
  return end
}

export const make = Effect.fnUntraced(function*(port: number | (() => number), { cut, frames }: Options) {
  let cuts = 0
  const requests: Array<string> = []
  const limit = (stream: number, text: string) => {
    const most = frames(stream)
    return Number.isFinite(most) ? allowed(text, most) : most
  }
  const proxy = yield* makeCuttingProxy(port, limit, {
    isLimited: (headers) => headers["content-type"] === "text/event-stream",
    endsOrderly: (stream) => (typeof cut === "string" ? cut : cut(stream)) === "orderly",
    onRequest: (line) => requests.push(line),
    onCut: () => {
      cuts++
    }
  })
  return { address: `http://127.0.0.1:${proxy.port}`, requests: () => [...requests], cuts: () => cuts }
})

/** Reads a whole stream, and counts its frames. */
export const read = (url: string) =>
  Effect.promise(async () => {
    const text = await (await fetch(url)).text()
    return { text, frames: text.match(/^data: (?!\[DONE\])/gm)?.length ?? 0 }
  })
