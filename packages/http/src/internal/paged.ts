/** Pages of lists. */

/** The query reads one entry more than the page has: this entry tells whether there is a next page. */
export const paged = <A, Next>(
  items: ReadonlyArray<A>,
  limit: number,
  toNext: (last: A) => Next
): { readonly items: ReadonlyArray<A>; readonly next?: Next } => {
  const last = items[limit - 1]
  return items.length > limit && last !== undefined ? { items: items.slice(0, limit), next: toNext(last) } : { items }
}

export const idOf = <A extends { readonly id: unknown }>({ id }: A): A["id"] => id
