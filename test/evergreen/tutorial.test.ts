import { NodeServices } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import * as Browser from "./browser.ts"
import { blocksOf, patternOf, Terminals } from "./tutorial.ts"

/** What an application would install. */
const installed = "examples/node_modules"

/** The page of the tutorial answers, and goes on after a reload. */
const usePage = Effect.fnUntraced(function*(address: string) {
  if (!Browser.isInstalled) return
  const me = yield* Browser.visitor(yield* Browser.launch)
  const page = yield* me.open(address)
  yield* Browser.act(async () => {
    await page.getByLabel("Message").fill("Show me a table.")
    await page.keyboard.press("Enter")
    await page.getByText("any browser has them.").waitFor()
    const shown = await page.locator("pre").textContent()
    await page.reload()
    await page.getByText("any browser has them.").waitFor()
    assert.strictEqual(await page.locator("pre").textContent(), shown)
  })
  assert.deepStrictEqual(me.complaints, [])
}, Effect.scoped)

it.live("docs/tutorial.md can be followed literally from an empty folder", () =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const folder = yield* files.makeTempDirectoryScoped()
    const evergreen = yield* files.readFileString("examples/evergreen/src/main.ts")
    const terminals = yield* Terminals.open(folder)
    let output = ""
    for (const { body, language, line, of } of blocksOf(yield* files.readFileString("docs/tutorial.md"))) {
      const where = `docs/tutorial.md:${line}`
      if (language === "text") assert.match(output, patternOf(body), where)
      else if (of === "evergreen") assert.include(evergreen, body, where)
      else if (language !== "sh") yield* files.writeFileString(`${folder}/${of}`, body)
      else if (of === "install") {
        for (const [, name] of body.matchAll(/ (@?[a-z][\w/-]+)(?= |$)/gm)) {
          if (name !== "install") assert.isTrue(yield* files.exists(`${installed}/${name}`), `${where}: ${name}`)
        }
        yield* files.symlink(yield* files.realPath(installed), `${folder}/node_modules`)
      } else if (of === "server") {
        output = yield* terminals.serve(body)
        if (body === "node main.ts\n" && (yield* files.exists(`${folder}/Page.ts`))) yield* usePage(terminals.address)
      } else if (of === "kill") {
        assert.strictEqual(body, "kill -9 <process id>\n", where)
        yield* terminals.stop("SIGKILL")
      } else output = yield* terminals.run(body)
    }
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
