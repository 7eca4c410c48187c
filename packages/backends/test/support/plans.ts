/**
 * How a database executes a statement: which index it searches by which columns, and whether it scans a table or sorts.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { Recorded } from "./recordedSql.ts"

/** The columns on the left sides of a condition, such as `user_id=? AND (created_at,id)<(?,?)`, without duplicates. */
const columnsOf = (condition: string): ReadonlyArray<string> => {
  const left = condition.split(" AND ").flatMap((part) => part.replaceAll("ROW", "").split(/[<>=]| IS /, 1))
  return [...new Set(left.join(" ").match(/\b[a-z_]+\b/g))]
}

const search = (index: string, condition: string): string => `${index}: ${columnsOf(condition).join(", ")}`

/** SQLite's names of the indexes of primary and unique keys, and PostgreSQL's names of the same indexes. */
const keyNames: Readonly<Record<string, string>> = {
  sqlite_autoindex_perennial_tasks_1: "perennial_tasks_pkey",
  sqlite_autoindex_perennial_conversations_1: "perennial_conversations_pkey",
  sqlite_autoindex_perennial_messages_1: "perennial_messages_pkey",
  sqlite_autoindex_perennial_messages_2: "perennial_messages_conversation_id_id_key",
  sqlite_autoindex_perennial_runners_1: "perennial_runners_pkey",
  sqlite_autoindex_perennial_task_queues_1: "perennial_task_queues_pkey"
}

const tableNames: Readonly<Record<string, string>> = { t: "perennial_tasks", i: "perennial_task_intents" }

/** Tables that do not grow with the number of tasks: one row for each runner, and one counter of ends. */
const small = new Set(["perennial_runners", "perennial_ends"])

/** Whether a step of SQLite scans a growing table, or sorts. Scans of rows that other steps have found do not count. */
const isScan = (detail: string): boolean =>
  /^SCAN (?!\(subquery-|page|[eo]\b|owners|CONSTANT|json_each|perennial_ends)|^USE TEMP B-TREE/.test(detail)

/** The index searches of a statement of SQLite. Fails if the statement scans a table, or sorts more rows than a page has. */
export const sqliteSearches = Effect.fnUntraced(function*({ params, sql: text }: Recorded) {
  const sql = yield* SqlClient.SqlClient
  const steps = yield* sql.unsafe<{ readonly parent: number; readonly detail: string }>(
    `EXPLAIN QUERY PLAN ${text}`,
    params
  )
  return steps.flatMap(({ detail, parent }) => {
    const found = /^(?:SEARCH|SCAN) (\w+)(?: EXISTS)? USING (?:COVERING )?(?:INDEX (\w+)|(PRIMARY KEY))(?: \((.*)\))?/
      .exec(detail)
    if (found !== null) {
      const [, table = "", index = `${tableNames[table] ?? table}_pkey`, , condition = ""] = found
      return [search(keyNames[index] ?? index, condition)]
    }
    const sortsPage = /^USE TEMP B-TREE FOR (ORDER|GROUP) BY$/.test(detail)
      && steps.some((step) => step.parent === parent && step.detail.startsWith("SCAN page"))
    assert.isFalse(isScan(detail) && !sortsPage, `${detail} in ${text}`)
    return []
  })
})

/** A value as SQL text. */
const literal = (value: unknown): string => {
  if (value === null || value === undefined) return "NULL"
  if (Array.isArray(value)) return `'{${value.map((item) => JSON.stringify(String(item))).join(",")}}'`
  return typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value)
}

interface Node {
  readonly "Node Type": string
  readonly "Index Name"?: string
  readonly "Index Cond"?: string
  readonly Filter?: string
  readonly "Relation Name"?: string
  readonly Plans?: ReadonlyArray<Node>
}

const isLimited = (node: Node): boolean => node["Node Type"] === "Limit" || (node.Plans ?? []).some(isLimited)

/** Whether a node reads nothing but the tasks that one runner owns, which are at most as many as the runner executes. */
const isOwned = (node: Node): boolean =>
  node.Plans === undefined ? node["Index Name"] === "perennial_tasks_of_runner" : node.Plans.every(isOwned)

const searchesOf = (node: Node, text: string, limited: boolean): ReadonlyArray<string> => {
  const { Filter: filter, "Index Cond": condition = "", "Index Name": index, "Node Type": type } = node
  const table = node["Relation Name"] ?? ""
  const grows = table.startsWith("perennial_") && !small.has(table)
  // A bitmap heap scan reads only the rows that an index scan below it found.
  const reads = type !== "ModifyTable" && type !== "Bitmap Heap Scan"
  const scans = grows && reads && (index === undefined || (condition === "" && !limited))
  assert.isFalse(scans || (type.endsWith("Sort") && !isLimited(node) && !isOwned(node)), `${type} ${table} in ${text}`)
  const filtered = filter === undefined ? "" : ` (then ${columnsOf(filter).join(", ")})`
  return [
    ...(index === undefined ? [] : [`${search(index, condition)}${filtered}`]),
    ...(node.Plans ?? []).flatMap((plan) => searchesOf(plan, text, type === "Limit"))
  ]
}

/**
 * The index searches of a statement of PostgreSQL, planned for its values (`custom`) or for any values (`generic`). Fails
 * if the statement scans a table, or sorts more rows than a page has.
 */
export const pgSearches = Effect.fnUntraced(function*({ params, sql: text }: Recorded, mode: "custom" | "generic") {
  const sql = yield* SqlClient.SqlClient
  yield* sql.unsafe(`SET plan_cache_mode = force_${mode}_plan`)
  yield* sql.unsafe(`PREPARE explained AS ${text}`)
  const values = params.length === 0 ? "" : `(${params.map(literal).join(", ")})`
  const [row] = yield* sql.unsafe<{ readonly "QUERY PLAN": ReadonlyArray<{ readonly Plan: Node }> }>(
    `EXPLAIN (FORMAT JSON) EXECUTE explained${values}`
  )
  yield* sql.unsafe("DEALLOCATE explained")
  yield* sql.unsafe("RESET plan_cache_mode")
  return row?.["QUERY PLAN"].flatMap(({ Plan }) => searchesOf(Plan, text, false)) ?? []
})
