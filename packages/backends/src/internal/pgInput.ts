/**
 * What a statement is given for PostgreSQL, as rows, and what belongs to each of them in its answer.
 */
import { Array as Arr } from "effect"
import type { SqlClient, Statement } from "effect/sql"

/** The type of a column and its values. */
type Column<A> = readonly [type: "text" | "int" | "bigint", of: (item: A, index: number) => string | number]

/**
 * A table `i` with a row for each item.
 *
 * Because of the limit PostgreSQL plans for a row or two, whatever their number: each finds what belongs to it by an index.
 * Without it a plan for more would read whole tables, if it was made while they were small; and few rows would be planned
 * for again each time, which was measured to take longer than the statement.
 */
export const rowsOf = <A>(
  sql: SqlClient.SqlClient,
  items: ReadonlyArray<A>,
  columns: { readonly [name: string]: Column<A> }
): Statement.Fragment => {
  const arrays = Object.values(columns).map(([type, of]) => {
    // Larger numbers as text: an array of numbers has the type of the smallest that holds them, which must not differ.
    const values = items.map((item, i) => type === "int" ? of(item, i) : String(of(item, i)))
    return sql`${values}::${sql.literal(type)}[]`
  })
  const names = sql.literal(Object.keys(columns).join(", "))
  return sql`(SELECT * FROM unnest(${sql.csv(arrays)}) AS i(${names}) LIMIT ${items.length}) AS i`
}

/** The rows of an answer that belong to each item, where they say by its index which one that is. */
export const byItem = <Row extends { readonly item: number }>(rows: ReadonlyArray<Row>) => {
  const found = Arr.groupBy(rows, ({ item }) => String(item))
  return (_: unknown, index: number): ReadonlyArray<Row> => found[index] ?? []
}
