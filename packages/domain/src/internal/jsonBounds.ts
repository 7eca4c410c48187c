/** Bounds of JSON that callers give (P11). */

/**
 * How deep arrays and objects may be nested. Stores refuse JSON that is nested deeper than they can parse: Redis more than
 * 1,000 levels, SQLite more than 1,000, PostgreSQL some 6,000.
 */
const maxDepth = 64

const isTooDeep = (json: unknown): boolean => {
  let level: Array<unknown> = [json]
  for (let depth = 0; level.length > 0; depth++) {
    const next: Array<unknown> = []
    for (const value of level) {
      if (typeof value !== "object" || value === null) continue
      if (depth === maxDepth) return true
      for (const child of Object.values(value)) next.push(child)
    }
    level = next
  }
  return false
}

/** Why JSON cannot be accepted, to be read after the name of its field; nothing if it can. */
export const jsonProblem = (json: unknown, maxLength: number): string | undefined => {
  if (isTooDeep(json)) return `is nested deeper than ${maxDepth} levels`
  const { length } = JSON.stringify(json)
  return length > maxLength ? `has ${length} characters of JSON: at most ${maxLength} are accepted` : undefined
}
