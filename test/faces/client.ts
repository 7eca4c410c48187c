/** What every client is tested for. */
import type { Effect, Scope } from "effect"
import type { start } from "./server.ts"

export const cases = [
  "stream",
  "dropped hard",
  "dropped orderly",
  "resume",
  "cancel",
  "approval",
  "provider error",
  "second turn"
] as const

export type Case = typeof cases[number]

export type Server = Effect.Success<ReturnType<typeof start>>

export interface Client {
  /** As in the table. */
  readonly name: string
  /** The npm package. */
  readonly npm: string
  readonly cases: { readonly [name in Case]: (server: Server) => Effect.Effect<void, never, Scope.Scope> }
}

/** The table of docs/faces/README.md. */
export const table = (
  clients: ReadonlyArray<Client>,
  passed: (client: Client, name: Case) => boolean = () => true
): string => {
  const rows = [
    ["client", ...cases],
    ...clients.map((client) => [
      `${client.name} (\`${client.npm}\`)`,
      ...cases.map((name) => passed(client, name) ? "yes" : "NO")
    ])
  ]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const line = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`
  const [head = [], ...body] = rows
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n")
}
