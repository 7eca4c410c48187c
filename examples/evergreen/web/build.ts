/**
 * Builds the web app into `dist`, unless what is there was built from the same files.
 */
import { createHash } from "node:crypto"
import { globSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL(".", import.meta.url))
const stamp = `${root}dist/.stamp`

const inputs = [
  "index.html",
  "package.json",
  "vite.config.ts",
  "../../../pnpm-lock.yaml",
  "../../../packages/domain/src/TaskView.ts",
  "../../../packages/http/src/EventReader.ts",
  ...globSync("{src,public}/**/*.*", { cwd: root }).toSorted()
]

const hash = createHash("sha256")
for (const input of inputs) hash.update(input).update("\0").update(readFileSync(root + input))
const wanted = hash.digest("hex")

const built = (): string => {
  try {
    return readFileSync(stamp, "utf8")
  } catch {
    return ""
  }
}

if (built() !== wanted) {
  // A test has another mode, in which React is three times as large.
  process.env["NODE_ENV"] = "production"
  const { build } = await import("vite")
  await build({ configFile: `${root}vite.config.ts`, root, logLevel: "warn" })
  writeFileSync(stamp, wanted)
}
