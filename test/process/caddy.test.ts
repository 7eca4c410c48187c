/** A real Caddy with the configuration of deploy/Caddyfile, in front of a server. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import * as Caddy from "../support/caddy.ts"
import * as Proxied from "../support/proxied.ts"

if (!Caddy.isInstalled) {
  process.stderr.write("Skipped: Caddy. There is no Caddy; `apt-get install caddy` installs it.\n")
}

/** The directive `encode` of the site in docs/operations.md. */
const [compression] = /^\tencode \{\n[^]*?^\t\}\n/m.exec(readFileSync("docs/operations.md", "utf8")) ?? ["none"]

describe.skipIf(!Caddy.isInstalled)("behind Caddy", () => {
  for (const [name, line] of [["as in the file", ""], ["with the compression of docs/operations.md", compression]]) {
    it.live(`${name}, events of a running task arrive at once`, () => Proxied.arrivesAtOnce(Caddy.start, line))
  }

  it.live("that compression compresses JSON", () =>
    Effect.gen(function*() {
      const { proxy } = yield* Proxied.make(Caddy.start, compression)
      const { headers } = yield* Effect.promise(() => fetch(`${proxy.address}/openapi.json`))
      assert.strictEqual(headers.get("content-encoding"), "gzip")
    }))

  it.live(
    "P3: a reader resumes after Caddy was killed in the middle of a stream: every event once and in order",
    () => Proxied.survivesTheProxy(Caddy.start)
  )

  it.live("accepts the largest files of a message", () => Proxied.acceptsFiles(Caddy.start))

  it.live("passes the host on: a page of the same origin may write, a page of another one may not", () =>
    Effect.gen(function*() {
      const { proxy } = yield* Proxied.make(Caddy.start)
      const write = (origin: string) =>
        Effect.promise(async () => {
          const headers = { "content-type": "application/json", origin }
          return (await fetch(`${proxy.address}/tasks`, { method: "POST", headers, body: `{"message":"a"}` })).status
        })
      assert.deepStrictEqual([yield* write(proxy.address), yield* write("http://evil.example")], [201, 403])
    }))
})
