import { assert, it } from "@effect/vitest"
import { version } from "@perennial/domain/Version"
import { readFileSync } from "node:fs"

it("the version is that of the package; before the first release it is the version of that release", () => {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))
  assert.strictEqual(version, manifest.version === "0.0.0" ? "0.1.0" : manifest.version)
})
