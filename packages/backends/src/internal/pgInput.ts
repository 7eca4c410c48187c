/**
 * The input of a statement of PostgreSQL as rows, and the rows of its answer by the item of the input.
 */
import { Array as Arr, Predicate } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import type { EventRow } from "./eventRow.ts"
import type { Columns } from "./sqlInput.ts"

/**
 * A table `i` with a row for each item.
 *
 * Because of the limit PostgreSQL plans for one or two rows, however many there are, and finds the rows of each item by an
 * index. Without the limit, a plan that was made while the tables were small would read whole tables; and a statement with
 * few items would be planned again each time, which was measured to take longer than the statement.
 */
export const rowsOf = <A>(
  sql: SqlClient.SqlClient,
  items: ReadonlyArray<A>,
  columns: Columns<A>
): Statement.Fragment => {
  const arrays = Object.values(columns).map(([type, of]) => {
    // Larger numbers as text: an array of numbers has the type of the smallest that holds them, which must not differ.
    const values = items.map((item, i) => type === "int" ? of(item, i) : String(of(item, i)))
    return sql`${values}::${sql.literal(type)}[]`
  })
  const names = sql.literal(Object.keys(columns).join(", "))
  return sql`(SELECT * FROM unnest(${sql.csv(arrays)}) AS i(${names}) LIMIT ${items.length}) AS i`
}

/** The rows of an answer that belong to an item of the input: the column `item` holds its index. */
export const byItem = (rows: ReadonlyArray<object>) => {
  const found = Arr.groupBy(rows, (row) => Predicate.hasProperty(row, "item") ? String(row.item) : "")
  return (_: unknown, index: number): ReadonlyArray<object> => found[index] ?? []
}

/** Rows of events as a table `e`. */
export const eventValues = (sql: SqlClient.SqlClient, rows: ReadonlyArray<EventRow>): Statement.Fragment =>
  sql`unnest(
    ${rows.map((row) => row.taskId)}::text[], ${rows.map((row) => row.token)}::int[],
    ${rows.map((row) => row.seq)}::int[], ${rows.map((row) => BigInt(row.at))}::bigint[],
    ${rows.map((row) => row.payload)}::text[]
  ) AS e(task_id, token, seq, at, payload)`
