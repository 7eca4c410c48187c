import { assert, describe, it } from "@effect/vitest"
import { read, readFeed } from "@perennial/http/EventReader"
import { Effect, Stream } from "effect"
import { readFileSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { gzipSync } from "node:zlib"
import { tagOf } from "./eventReaderTag.ts"
import { overSockets } from "./watchContract.ts"

overSockets("EventReader", (port) =>
  Effect.succeed((id, options) =>
    Stream.fromAsyncIterable(
      read(`http://127.0.0.1:${port}/tasks/${id}/events`, { ...options, pause: () => 5, maxFailures: 1_000 }),
      tagOf
    )
  ))

describe("EventReader", () => {
  const url = "http://test/tasks/t1/events"
  const open = () => new Response(new ReadableStream(), { headers: { "content-type": "text/event-stream" } })

  it("gets its headers before each request, and continues from its cursor", async () => {
    const sent: Array<Record<string, string>> = []
    const fetch: typeof globalThis.fetch = async (_, init) => {
      sent.push(Object.fromEntries(new Headers(init?.headers)))
      return new Response(null, { status: sent.length < 3 ? 503 : 204 })
    }
    let token = 0
    const headers = async () => ({ authorization: `Bearer ${++token}` })
    for await (const _ of read(url, { after: 7, fetch, headers, pause: () => 0 })) assert.fail()
    assert.deepStrictEqual(
      sent,
      [1, 2, 3].map((n) => ({ authorization: `Bearer ${n}`, "last-event-id": "7" }))
    )
  })

  it("fails with the last error after more than `maxFailures` failures in a row", async () => {
    let asked = 0
    const fetch: typeof globalThis.fetch = async () => {
      asked++
      throw new Error(`failure ${asked}`)
    }
    const failed = await read(url, { fetch, maxFailures: 2, pause: () => 0 }).next().catch((error: unknown) => error)
    assert.propertyVal(failed, "message", "failure 3")
  })

  const waits: ReadonlyArray<readonly [string, typeof globalThis.fetch]> = [
    ["an answer", () => new Promise(() => {})],
    ["an event", async () => open()],
    ["the next connection", async () => new Response(null, { status: 503 })]
  ]
  it.each(waits)("ends when its signal is aborted while it waits for %s", async (_, fetch) => {
    const stop = new AbortController()
    const next = read(url, { fetch, signal: stop.signal }).next()
    await new Promise((resolve) => setImmediate(resolve))
    stop.abort(new Error("enough"))
    assert.propertyVal(await next.catch((error: unknown) => error), "message", "enough")
  })

  it("closes its connection when the caller leaves the loop", async () => {
    let signal: AbortSignal | null | undefined
    const frame = `id: 1\ndata: {"type":"text","content":"a","taskId":"t1","conversationId":"c1"}\n\n`
    const body = new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(frame)) })
    const fetch: typeof globalThis.fetch = async (_, init) => {
      signal = init?.signal
      return new Response(body)
    }
    for await (const { event } of read(url, { fetch })) {
      assert.strictEqual(event.type, "text")
      break
    }
    assert.isTrue(signal?.aborted)
  })

  it("reads the feed over several connections, also updates with one cursor, and resumes from the last cursor", async () => {
    const sent: Array<string | null> = []
    const frame = (id: number, type: string) => `id: ${id}\ndata: {"type":"${type}","tasks":[]}\n\n`
    const bodies = [`: ok\n\n${frame(7, "snapshot")}${frame(7, "changes")}retry: 1\n\n`, frame(7, "snapshot")]
    const fetch: typeof globalThis.fetch = async (_, init) => {
      sent.push(new Headers(init?.headers).get("last-event-id"))
      return new Response(bodies.shift() ?? null, { status: sent.length < 3 ? 200 : 403 })
    }
    const seen: Array<readonly [number, string]> = []
    const reading = (async () => {
      for await (const { cursor, type } of readFeed("http://test/feed", { fetch, pause: () => 0 })) {
        seen.push([cursor, type])
      }
    })()
    assert.propertyVal(await reading.catch((error: unknown) => error), "status", 403)
    assert.deepStrictEqual(seen, [[7, "snapshot"], [7, "changes"], [7, "snapshot"]])
    assert.deepStrictEqual(sent, [null, "7", "7"])
  })

  it("imports only types, and has at most 2 KiB gzipped", () => {
    const source = readFileSync(new URL("../src/EventReader.ts", import.meta.url), "utf8")
    const script = stripTypeScriptTypes(source).replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$|^\s+/gm, "")
    assert.notMatch(script, /import/)
    assert.isBelow(gzipSync(script).length, 2_048)
  })
})
