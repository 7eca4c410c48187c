import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { freePort } from "../../packages/backends/test/support/freePort.ts"
import { environment } from "../support/server.ts"
import * as Browser from "./browser.ts"
import { makeWebCopy } from "./webCopy.ts"

const web = "examples/evergreen/web"
const welcome = `${web}/src/chat/Welcome.tsx`

describe("evergreen's web app", () => {
  it.live("is built by a start only if something that it is made of has changed", () =>
    Effect.gen(function*() {
      const copy = yield* makeWebCopy
      const dist = copy.path(`${web}/dist`)
      const builtAt = () => statSync(`${dist}/index.html`).mtimeMs
      const scripts = () =>
        readdirSync(`${dist}/assets`).filter((file) => file.endsWith(".js"))
          .map((file) => readFileSync(`${dist}/assets/${file}`, "utf8")).join("\n")
      const build = Effect.gen(function*() {
        const { all, exitCode } = yield* ChildProcess.make(process.execPath, [copy.path(`${web}/build.ts`)], {
          env: environment
        })
        const said = yield* Stream.mkString(Stream.decodeText(all))
        assert.strictEqual(yield* exitCode, 0, said)
        return builtAt()
      })
      const before = builtAt()
      assert.strictEqual(yield* build, before)
      assert.include(scripts(), "Ask, and walk away.")

      copy.change(welcome, "Ask, and walk away.", "Ask, and go for a walk.")
      const after = yield* build
      assert.isAbove(after, before)
      assert.include(scripts(), "Ask, and go for a walk.")
      assert.notInclude(scripts(), "Ask, and walk away.")
      assert.strictEqual(yield* build, after)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live.skipIf(!Browser.isInstalled)(
    "`pnpm dev` shows a change of a component at once: the page stays, with what was typed",
    () =>
      Effect.gen(function*() {
        const copy = yield* makeWebCopy
        const [api, port] = yield* Effect.promise(() => Promise.all([freePort(), freePort()]))
        const dev = yield* ChildProcess.make(process.execPath, [copy.path(`${web}/dev.ts`)], {
          env: { ...environment, PORT: String(api), EVERGREEN_PAGE_PORT: String(port), PERENNIAL_STORE: "memory" }
        })
        const said: Array<string> = []
        const has = (text: string) => said.some((line) => line.includes(text))
        const listening = yield* Deferred.make<void>()
        const output = yield* dev.all.pipe(
          Stream.decodeText(),
          Stream.splitLines,
          Stream.runForEach((line) => {
            said.push(line)
            return has(`http://127.0.0.1:${port}/`) && has("curl")
              ? Deferred.succeed(listening, undefined)
              : Effect.void
          }),
          Effect.forkScoped
        )
        yield* Deferred.await(listening)

        const me = yield* Browser.visitor(yield* Browser.launch)
        const connected = me.context.waitForEvent("console", (message) => message.text().includes("[vite] connected"))
        const page = yield* me.open(`http://127.0.0.1:${port}`)
        const box = page.getByLabel("Message", { exact: true })
        yield* Browser.act(async () => {
          await connected
          await page.getByText("Ask, and walk away.").waitFor()
          await box.fill("A draft")
          await page.evaluate(() => Object.assign(globalThis, { sameDocument: true }))
        })
        copy.change(welcome, "Ask, and walk away.", "Ask, and go for a walk.")
        yield* Browser.act(async () => {
          await page.getByText("Ask, and go for a walk.").waitFor()
          assert.strictEqual(await box.inputValue(), "A draft")
          assert.isTrue(await page.evaluate(() => "sameDocument" in globalThis))
          // The API is reached through the same address.
          await box.press("Enter")
          await page.locator(".conversations a", { hasText: "A draft" }).waitFor()
        })
        assert.deepStrictEqual(me.complaints, [])
        yield* dev.kill({ killSignal: "SIGTERM" })
        // The output ends when the server has ended, too.
        yield* Fiber.join(output)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
  )
})
