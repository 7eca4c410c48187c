import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import * as Browser from "./browser.ts"
import { started } from "./server.ts"

const saved = `JSON.parse(localStorage.getItem("evergreen"))`

const say = (text: string) =>
  `{
  document.getElementById("message").value = ${JSON.stringify(text)}
  document.getElementById("form").requestSubmit()
}`

describe.skipIf(!Browser.isInstalled)("evergreen's web page", () => {
  it.live("P3: shows all events after a reload and after the server was killed, and its stop button cancels the task", () =>
    Effect.gen(function*() {
      const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
      const environment = { PERENNIAL_STORE: `sqlite:${directory}/perennial.db` }
      const first = yield* started(environment)
      const page = yield* Browser.launch

      yield* page.open(first.address)
      yield* page.evaluate(say("Hello"))
      yield* page.see("no language model is connected")
      yield* page.reload
      const shown = String(yield* page.evaluate("document.getElementById('log').innerText"))
      assert.include(shown, "no language model is connected")
      yield* page.see("Your message was stored")

      yield* first.handle.kill({ killSignal: "SIGKILL" })
      yield* page.see("Connection lost")
      yield* started({ ...environment, PORT: new URL(first.address).port })
      yield* page.see("Resumed, attempt 2.")
      yield* page.see("Your message was stored")
      const once = "document.getElementById('log').innerText.split('I am the scripted model').length - 1"
      assert.strictEqual(yield* page.evaluate(once), 1, "void text is gone")

      yield* page.evaluate("document.getElementById('stop').click()")
      yield* page.see("Stopped.")
      assert.strictEqual(yield* page.evaluate(`${saved}.active`), false)
      yield* page.evaluate(say("And now?"))
      yield* page.see("This is message number 2")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
