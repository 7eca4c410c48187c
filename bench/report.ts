/**
 * Figures, their medians over all rounds, and their table.
 */

/** One line of the table. A higher figure is better, except for times and bytes. */
export interface Line {
  readonly name: string
  readonly unit: string
  readonly perennial: number
  readonly baseline?: number | undefined
  /** The goal: `ratio` is the least ratio to the baseline, `atMost` the largest ratio, and `value` the largest value. */
  readonly target?: { readonly ratio: number } | { readonly atMost: number } | { readonly value: number } | undefined
}

export type Results = Map<string, {
  readonly unit: string
  readonly target: Line["target"]
  readonly perennial: Array<number>
  readonly baseline: Array<number>
}>

/** The quantile of the values. `part` is from 0 to 1. */
export const quantile = (values: ReadonlyArray<number>, part: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

export const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

export const record = (results: Results, server: "perennial" | "baseline", lines: ReadonlyArray<Figure>): void => {
  for (const { name, target, unit, value } of lines) {
    const result = results.get(name) ?? { unit, target, perennial: [], baseline: [] }
    results.set(name, result)
    result[server].push(value)
  }
}

/** One measured value of one server in one round. */
export interface Figure {
  readonly name: string
  readonly unit: string
  readonly value: number
  readonly target?: Line["target"]
}

export const lines = (results: Results): ReadonlyArray<Line> =>
  [...results].map(([name, { baseline, perennial, target, unit }]) => ({
    name,
    unit,
    perennial: median(perennial),
    baseline: baseline.length === 0 ? undefined : median(baseline),
    target
  }))

const number = (value: number | undefined): string =>
  value === undefined
    ? ""
    : value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0 })

const verdict = ({ baseline, perennial, target }: Line): string => {
  if (target === undefined) return ""
  if ("value" in target) return `≤ ${number(target.value)} ${perennial <= target.value ? "ok" : "MISSED"}`
  const ratio = baseline === undefined ? Number.NaN : perennial / baseline
  if ("atMost" in target) return `≤ ${target.atMost} x ${ratio <= target.atMost ? "ok" : "MISSED"}`
  return `≥ ${target.ratio} ${ratio >= target.ratio ? "ok" : "MISSED"}`
}

export const table = (lines: ReadonlyArray<Line>): string => {
  const header = ["measured", "unit", "perennial", "baseline", "ratio", "target"]
  const rows = lines.map((line) => [
    line.name,
    line.unit,
    number(line.perennial),
    number(line.baseline),
    line.baseline === undefined ? "" : number(line.perennial / line.baseline),
    verdict(line)
  ])
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const numeric = (i: number) => i >= 2 && i <= 4
  const format = (row: ReadonlyArray<string>) =>
    row.map((cell, i) => numeric(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd()
  return [header, widths.map((width) => "-".repeat(width)), ...rows].map(format).join("\n")
}
