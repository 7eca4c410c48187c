/**
 * The input of a statement as rows.
 */

/** The type of a column and its values. */
type Column<A> = readonly [type: "text" | "int" | "bigint", of: (item: A, index: number) => string | number]

/** The columns of a table that a statement reads its input from, by their names. */
export interface Columns<A> {
  readonly [name: string]: Column<A>
}
