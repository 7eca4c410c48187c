/**
 * The rows that the list of a conversation has: those around the person. When a row gets another size, the list computes the place
 * of each row after it, and that must not cost more in a longer conversation.
 */
interface Keyed {
  readonly key: string
}

export interface Window<R extends Keyed> {
  /** The index of the first of them in all rows. */
  readonly from: number
  readonly listed: ReadonlyArray<R>
}

/** Rows before and after the one in the middle: more than a screen has. */
const reach = 150

/** The rows around the one with this key. Without such a row they are the last ones. */
export const windowAround = <R extends Keyed>(rows: ReadonlyArray<R>, middle: string | undefined): Window<R> => {
  const at = middle === undefined ? -1 : rows.findIndex(({ key }) => key === middle)
  const last = Math.max(0, rows.length - 2 * reach)
  const from = at < 0 ? last : Math.min(last, Math.max(0, at - reach))
  return { from, listed: rows.slice(from, from + 2 * reach) }
}
