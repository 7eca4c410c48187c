/** LangGraph's hook for React in a real browser: a page that is loaded again joins the run that goes on. */
import { assert, it } from "@effect/vitest"
import * as LangGraph from "@perennial/http/faces/langgraph/LangGraph"
import { Effect } from "effect"
import { build } from "vite"
import * as Browser from "../evergreen/browser.ts"
import { start } from "./server.ts"
import { stored } from "./shown.ts"

/** The program of the page, as one text. */
const program = Effect.promise(async () => {
  const built = await build({
    configFile: false,
    logLevel: "error",
    build: {
      write: false,
      minify: false,
      rollupOptions: { input: `${import.meta.dirname}/useStreamPage.tsx` }
    }
  })
  const [made] = [built].flat()
  assert(made !== undefined && "output" in made)
  return made.output[0].code
})

it.live.skipIf(!Browser.isInstalled)(
  "useStream of React submits, is loaded again, joins the run, and ends with the whole answer",
  () =>
    Effect.gen(function*() {
      const server = yield* start([LangGraph.face])
      const { complaints, context, open } = yield* Browser.visitor(yield* Browser.launch)
      const code = yield* program
      const serve = (path: string, contentType: string, body: string) =>
        Effect.promise(() => context.route(`${server.address}${path}`, (route) => route.fulfill({ contentType, body })))
      yield* serve("/page.js", "text/javascript; charset=utf-8", code)
      yield* serve(
        "/page",
        "text/html",
        "<!doctype html><title>Chat</title><script src=\"page.js\" type=\"module\"></script>"
      )
      const page = yield* open(`${server.address}/page`)
      const shows = (text: string) => Effect.promise(() => page.getByText(text, { exact: true }).waitFor())
      yield* Effect.promise(() => page.getByRole("button", { name: "Ask" }).click())
      yield* shows("I begin")
      yield* Effect.promise(() => page.reload())
      yield* shows("I begin")
      yield* server.gate.open
      yield* shows("I begin and end.")
      yield* shows("It is ready.")
      const texts = yield* Effect.promise(() => page.getByRole("listitem").allTextContents())
      const lines = yield* stored(server.address, new URL(page.url()).hash.slice(1))
      assert.deepStrictEqual(texts, lines.map(({ value }) => value))
      assert.deepStrictEqual(complaints, [])
    })
)
