import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")

const seconds = (text: string, setting: RegExp): number => Number(setting.exec(text)?.[1])

it("P8: the files in deploy give a process as long to end as the page about operations says", () => {
  const documented = seconds(read("docs/operations.md"), /Give a process (\d+) seconds between SIGTERM and SIGKILL/)
  // Finalizers of tools, and open requests.
  assert.isAbove(documented, 10 + 20)
  assert.strictEqual(seconds(read("docs/operations.md"), /`TimeoutStopSec=(\d+)`/), documented)
  assert.strictEqual(seconds(read("deploy/perennial.service"), /^TimeoutStopSec=(\d+)$/m), documented)
  assert.strictEqual(seconds(read("deploy/compose.yaml"), /^ *stop_grace_period: (\d+)s$/m), documented)
})
