import { assert, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { gzipSync } from "node:zlib"

const dist = "examples/evergreen/web/dist"

/** The files that a browser loads before the page can be used: those of the page, and the shared worker. */
const firstLoad = (): ReadonlyArray<string> => {
  const page = readFileSync(`${dist}/index.html`, "utf8")
  const named = [...page.matchAll(/(?:src|href)="\/([^"]+)"/g)].flatMap(([, file = ""]) => file)
  const workers = readdirSync(`${dist}/assets`).filter((file) => /^worker-.*\.js$/.test(file))
  return ["index.html", ...named, ...workers.map((file) => `assets/${file}`)]
}

it("the first load of evergreen's web app has at most 130 KiB gzipped", () => {
  const files = firstLoad()
  assert.isAtLeast(files.length, 5, "the page, its icon, its theme, its script, its styles and the worker")
  const bytes = files.map((file) => gzipSync(readFileSync(`${dist}/${file}`), { level: 9 }).length)
  assert.isAtMost(bytes.reduce((sum, size) => sum + size, 0), 130 * 1_024)
})
