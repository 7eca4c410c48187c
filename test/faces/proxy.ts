/**
 * A proxy that cuts event streams after a number of frames: hard, in the middle of the body, or orderly, as a proxy with a time
 * limit does. A hard cut after an odd number of frames is in the middle of the next frame, and of a character.
 */
import { Effect } from "effect"
import { makeCuttingProxy } from "../../packages/http/test/cuttingProxy.ts"

export type Cut = "hard" | "orderly"

export interface Options {
  readonly cut: Cut | ((stream: number) => Cut)
  /** How many frames of the n-th event stream, from 0, may pass. */
  readonly frames: (stream: number) => number
}

/** The place after the `frames`-th frame with data; -1 if there are fewer. */
const endOf = (text: string, frames: number): number => {
  let end = 0
  for (let seen = 0; seen < frames;) {
    const next = text.indexOf("\n\n", end)
    if (next < 0) return -1
    if (/^data:/m.test(text.slice(end, next))) seen++
    end = next + 2
  }
  return end
}

/** The number of characters up to the end of the `frames`-th frame with data; all of them if there are fewer. */
const allowed = (text: string, frames: number): number => {
  const end = endOf(text, frames)
  return end < 0 ? Number.POSITIVE_INFINITY : end
}

/**
 * As `allowed`, and half of the next frame: up to the middle of its first character that has several bytes, if there is one. Each
 * character of `text` is a byte.
 */
const allowedInside = (text: string, frames: number): number => {
  const [end, next] = [endOf(text, frames), endOf(text, frames + 1)]
  if (next < 0) return Number.POSITIVE_INFINITY
  const half = text.slice(end, next).search(/[\x80-\xFF]/)
  return half < 0 ? Math.floor((end + next) / 2) : end + half + 1
}

export const make = Effect.fnUntraced(function*(port: number | (() => number), { cut, frames }: Options) {
  let cuts = 0
  const cutOf = (stream: number): Cut => typeof cut === "string" ? cut : cut(stream)
  const requests: Array<string> = []
  const limit = (stream: number, text: string) => {
    const most = frames(stream)
    if (!Number.isFinite(most)) return most
    return cutOf(stream) === "hard" && most % 2 === 1 ? allowedInside(text, most) : allowed(text, most)
  }
  const proxy = yield* makeCuttingProxy(port, limit, {
    isLimited: (headers) => headers["content-type"] === "text/event-stream",
    endsOrderly: (stream) => cutOf(stream) === "orderly",
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
