import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")

/** The metrics of docs/telemetry.md, as Prometheus names them without unit and `_total`. */
const documented = [...read("docs/telemetry.md").matchAll(/^\| `([\w.]+)` /gm)].map(([, name = ""]) =>
  name.replaceAll(".", "_")
)

const isDocumented = (name: string): boolean =>
  documented.some((metric) => new RegExp(`^${metric}(_seconds)?(_total|_bucket|_sum|_count)?$`).test(name))

const dashboard: string = JSON.parse(read("examples/telemetry/dashboard.json")).panels
  .flatMap(({ targets }: { targets: ReadonlyArray<{ expr: string }> }) => targets.map(({ expr }) => expr)).join("\n")

it.for([
  ["the dashboard", dashboard],
  ["the alerts", read("examples/telemetry/alerts.yml")]
])("%s: all metrics exist", ([, text = ""]) => {
  // Labels follow `by`, or are in braces.
  const names = [...text.replaceAll(/by \([^)]*\)|\{[^}]*\}/g, "").matchAll(/\b(?:perennial|gen_ai|http)_\w+/g)]
    .map(([name]) => name)
  assert.isAbove(new Set(names).size, 5)
  assert.deepStrictEqual(names.filter((name) => !isDocumented(name)), [])
})

it("every metric of tasks is documented", () => {
  const defined = [
    ...read("packages/runtime/src/internal/telemetry/taskMetrics.ts").matchAll(/"((?:perennial|gen_ai)\.[\w.]+)"/g),
    ...read("packages/http/src/internal/webhookMetrics.ts").matchAll(/"(perennial\.webhooks\.[\w.]+)"/g)
  ]
  assert.isAbove(defined.length, 15)
  assert.deepStrictEqual(
    defined.map(([, name = ""]) => name.replaceAll(".", "_")).filter((name) => !documented.includes(name)),
    []
  )
})
