/**
 * The names of settings, and a search for variables that look like settings and are none.
 *
 * @since 0.1.0
 */
import { Option } from "effect"

/**
 * The environment variables of servers, in the order of docs/configuration.md: those whose names are long enough to tell a
 * misspelt one from the variable of another program.
 *
 * @since 0.1.0
 * @category constants
 */
export const server: ReadonlyArray<string> = [
  "PERENNIAL_PUBLIC_URL",
  "PERENNIAL_MAX_STREAMS",
  "PERENNIAL_MAX_USER_STREAMS",
  "PERENNIAL_MAX_REQUESTS",
  "PERENNIAL_MAX_ACTIVE_TASKS",
  "PERENNIAL_FACES",
  "PERENNIAL_STORE",
  "PERENNIAL_EXECUTE",
  "PERENNIAL_ENGINE",
  "PERENNIAL_RUNNER_ADDRESS",
  "PERENNIAL_RUNNER_LISTEN",
  "PERENNIAL_RUNNER_HEALTH",
  "PERENNIAL_RUNNER_LABELS",
  "PERENNIAL_TOKENS",
  "PERENNIAL_OPERATORS",
  "PERENNIAL_JWT_ISSUER",
  "PERENNIAL_JWT_AUDIENCE",
  "PERENNIAL_JWT_JWKS_URL",
  "PERENNIAL_JWT_SECRET",
  "PERENNIAL_JWT_USER_CLAIM",
  "PERENNIAL_TICKET_SECRET",
  "PERENNIAL_RETENTION",
  "PERENNIAL_WEBHOOK_URL",
  "PERENNIAL_WEBHOOK_SECRETS",
  "PERENNIAL_WEBHOOK_PRIVATE",
  "PERENNIAL_LOG_LEVEL",
  "PERENNIAL_LOG_FORMAT",
  "PERENNIAL_METRICS",
  "PERENNIAL_OTLP",
  "PERENNIAL_OTLP_HEADERS",
  "PERENNIAL_TRACE_RATIO",
  "PERENNIAL_TRACES_PER_SECOND",
  "ANTHROPIC_API_KEY",
  "ANTHROPIC_BASE_URL",
  "OPENAI_API_KEY",
  "OPENAI_BASE_URL",
  "GOOGLE_GENERATIVE_AI_API_KEY",
  "GOOGLE_GENERATIVE_AI_BASE_URL",
  "OLLAMA_API_KEY",
  "OLLAMA_BASE_URL",
  "PERENNIAL_MODEL",
  "PERENNIAL_FALLBACK_MODELS",
  "PERENNIAL_SCRIPT"
]

/** How many characters have to be added, removed or replaced to make one text of another (Levenshtein). */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (const [i, character] of [...a].entries()) {
    const next = [i + 1]
    for (let j = 0; j < b.length; j++) {
      const changed = (row[j] ?? 0) + (character === b[j] ? 0 : 1)
      next.push(Math.min(changed, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}

/**
 * One line about variables that look like settings and are none. None if there are no such variables. `known` are the settings.
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import * as SettingNames from "@perennial/http/SettingNames"
 * import { Option } from "effect"
 *
 * SettingNames.misspelt(["PERENNIAL_STROE"])
 * // => Option.some("Variables that are no settings are ignored: PERENNIAL_STROE (is PERENNIAL_STORE meant?).")
 * SettingNames.misspelt(["PERENNIAL_STORE", "PATH"]) // => Option.none()
 * ```
 *
 * @since 0.1.0
 * @category validation
 */
export const misspelt = (names: ReadonlyArray<string>, known = server): Option.Option<string> => {
  const ignored = names.flatMap((name) => {
    if (known.includes(name)) return []
    const [nearest = { variable: "", far: Number.POSITIVE_INFINITY }] = known
      .map((variable) => ({ variable, far: distance(name, variable) }))
      .toSorted((a, b) => a.far - b.far)
    if (nearest.far > 3) return name.startsWith("PERENNIAL_") ? [name] : []
    return [`${name} (is ${nearest.variable} meant?)`]
  })
  return ignored.length === 0
    ? Option.none()
    : Option.some(`Variables that are no settings are ignored: ${ignored.join(", ")}.`)
}
