/** JSON as people read it. */

export const pretty = (value: unknown): string =>
  typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? ""

const longest = 90

/** One line, shortened. */
export const brief = (value: unknown): string => {
  const text = typeof value === "object" && value !== null
    ? Object.entries(value)
      .map(([name, field]) => `${name}: ${typeof field === "string" ? field : JSON.stringify(field)}`).join(", ")
    : String(value ?? "")
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text
}
