import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { request } from "node:http"
import { brotliDecompressSync, gunzipSync } from "node:zlib"
import { started } from "./server.ts"

interface Answer {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  readonly body: Buffer
}

/** The answer as it comes over the wire: `fetch` would decompress it. */
const get = (url: string, headers: Record<string, string> = {}): Effect.Effect<Answer> =>
  Effect.promise(() =>
    new Promise((resolve, reject) => {
      request(url, { headers, agent: false }, (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("end", () =>
          resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }))
        response.on("error", reject)
      }).on("error", reject).end()
    })
  )

describe("the files of evergreen's web app", () => {
  it.live("files with a hash are kept for ever, the page is asked for again, and both come compressed", () =>
    Effect.gen(function*() {
      const { address } = yield* started({})
      const page = yield* get(address)
      const html = page.body.toString()
      assert.strictEqual(page.headers["cache-control"], "no-cache")
      const script = /src="(\/assets\/app-[^"]+\.js)"/.exec(html)?.[1] ?? ""
      const plain = yield* get(address + script)
      assert.strictEqual(plain.headers["cache-control"], "public, max-age=31536000, immutable")
      assert.strictEqual(plain.headers["content-encoding"], undefined)

      const encodings = [["br", brotliDecompressSync], ["gzip", gunzipSync]] as const
      for (const [encoding, decompress] of encodings) {
        const { body, headers } = yield* get(address + script, { "accept-encoding": encoding })
        assert.strictEqual(headers["content-encoding"], encoding)
        assert.strictEqual(headers["content-type"], "text/javascript; charset=utf-8")
        assert.strictEqual(headers["vary"], "accept-encoding")
        assert.isBelow(body.length, plain.body.length / 2)
        assert.isTrue(decompress(body).equals(plain.body))
        const again = yield* get(address + script, {
          "accept-encoding": encoding,
          "if-none-match": String(headers["etag"])
        })
        assert.strictEqual(again.status, 304)
      }
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("the page of each address allows no inline script and no inline style, and wants trusted types", () =>
    Effect.gen(function*() {
      const { address } = yield* started({})
      for (const path of ["/", "/c/any", "/inbox", "/t", "/t/any", "/r", "/a", "/settings"]) {
        const { headers, status } = yield* get(address + path)
        const policy = String(headers["content-security-policy"])
        assert.strictEqual(status, 200, path)
        assert.include(policy, "default-src 'none'")
        assert.include(policy, "require-trusted-types-for 'script'")
        assert.notInclude(policy, "unsafe")
        assert.strictEqual(headers["x-content-type-options"], "nosniff")
      }
      assert.strictEqual((yield* get(`${address}/assets/unknown.js`)).status, 404)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("`pnpm dev` passes each path of the API on to the server", () =>
    Effect.gen(function*() {
      const { address } = yield* started({ PERENNIAL_FACES: "none" })
      const { paths } = JSON.parse(String((yield* get(`${address}/openapi.json`)).body))
      const begins = new Set(Object.keys(paths).map((path) => `/${path.split("/")[1]}`))
      const config = readFileSync("examples/evergreen/web/vite.config.ts", "utf8")
      assert.isAtLeast(begins.size, 8)
      assert.deepStrictEqual([...begins].filter((path) => !config.includes(`"${path}"`)), [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
