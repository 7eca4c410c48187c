// @effect-diagnostics nodeBuiltinImport:off
import { assert, describe, it } from "@effect/vitest"
import { once } from "node:events"
import { createServer, get, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import { GatheredResponse } from "../src/internal/gatheredResponse.ts"

describe("GatheredResponse", () => {
  it("responses that end in one turn of the event loop leave together at its end, each to its own client", async () => {
    const open: Array<ServerResponse> = []
    const left: Array<boolean> = []
    const server = createServer({ ServerResponse: GatheredResponse }, (_, response) => {
      if (open.push(response) < 3) return
      for (const [i, each] of open.entries()) {
        each.setHeader("x-number", i)
        each.end(`answer ${i}`)
      }
      for (const each of open) left.push(each.writableEnded)
      setImmediate(() => {
        for (const each of open) left.push(each.writableEnded)
      })
    })
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    const { port } = server.address() as AddressInfo
    const answers = await Promise.all(Array.from({ length: 3 }, async () => {
      const [response]: Array<IncomingMessage> = await once(get({ port, host: "127.0.0.1" }), "response")
      if (response === undefined) throw new Error("no response")
      return [response.headers["x-number"], await text(response)]
    }))
    assert.deepStrictEqual(answers.toSorted(), [["0", "answer 0"], ["1", "answer 1"], ["2", "answer 2"]])
    assert.deepStrictEqual(left, [false, false, false, true, true, true])
    server.close()
    await once(server, "close")
  })
})
