import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Deferred, Effect } from "effect"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import * as Browser from "./browser.ts"
import { started } from "./server.ts"

/** The way to a server. `sleep` makes all its connections silent: nothing comes any more, and nobody closes them. */
const way = (address: string) =>
  Effect.acquireRelease(
    Effect.promise(() =>
      new Promise<{ readonly address: string; readonly sleep: () => void; readonly close: () => void }>((resolve) => {
        const open = new Set<Socket>()
        const server = createServer((client) => {
          const target = connect(Number(new URL(address).port), "127.0.0.1")
          for (const [from, to] of [[client, target], [target, client]] as const) {
            open.add(from)
            from.pipe(to).on("error", () => from.destroy())
          }
        })
        const sleep = () => {
          for (const socket of open) socket.unpipe().pause()
        }
        const close = () => {
          server.close()
          for (const socket of open) socket.destroy()
        }
        server.listen(0, "127.0.0.1", () =>
          resolve({ address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sleep, close }))
      })
    ),
    ({ close }) =>
      Effect.sync(close)
  )

/** The clock goes on while a machine sleeps, and its timers do not. */
const anHourLater = `{
  const now = Date.now
  Date.now = () => now() + 3_600_000
}`

describe.skipIf(!Browser.isInstalled)("evergreen's web app", () => {
  it.live("P3: after a laptop has slept, the page reads on over new connections, also in a browser without shared workers", () =>
    Effect.gen(function*() {
      const model = yield* FakeAnthropic
      const asleep = yield* Deferred.make<void>()
      yield* model.push({ actions: [{ text: ["Before. "] }, { run: Deferred.await(asleep) }, { text: ["After."] }] })
      const server = yield* started({ ANTHROPIC_API_KEY: "fake", ANTHROPIC_BASE_URL: model.url })
      const { address, sleep } = yield* way(server.address)
      const me = yield* Browser.visitor(yield* Browser.launch)
      yield* Browser.act(() => me.context.addInitScript("delete globalThis.SharedWorker"))
      const page = yield* me.open(address)
      yield* Browser.ask(page, "Go.")
      yield* Browser.act(async () => {
        await page.locator(".messages").getByText("Before.").waitFor()
        sleep()
        await page.evaluate(anHourLater)
      })
      yield* Deferred.succeed(asleep, undefined)
      yield* Browser.act(() => page.getByRole("button", { name: "Copy the answer" }).waitFor())
      assert.deepStrictEqual(yield* Browser.answers(page), ["Before.", "After."])
      assert.deepStrictEqual(yield* Browser.act(() => page.locator(".user .said").allInnerTexts()), ["Go."])
      assert.deepStrictEqual(me.complaints, [])
    }).pipe(Effect.scoped, Effect.provide([NodeServices.layer, FakeAnthropic.layer])))
})
