/** A value outside of React. All changes within a frame are one update of the screen. */
import { useSyncExternalStore } from "react"

export interface Store<S> {
  readonly get: () => S
  readonly set: (change: (state: S) => Partial<S>) => void
  /** The part of the state that `select` returns, not a new object. */
  readonly use: <A>(select: (state: S) => A) => A
}

export const makeStore = <S extends object>(initial: S): Store<S> => {
  let state = initial
  let shown = initial
  let scheduled = false
  const listeners = new Set<() => void>()
  const flush = () => {
    scheduled = false
    shown = state
    for (const listener of listeners) listener()
  }
  const subscribe = (listener: () => void) => {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  }
  return {
    get: () => state,
    set: (change) => {
      state = { ...state, ...change(state) }
      if (scheduled) return
      scheduled = true
      // A hidden tab gets no frames, and its title should be right.
      if (document.hidden) setTimeout(flush, 250)
      else requestAnimationFrame(flush)
    },
    use: (select) => useSyncExternalStore(subscribe, () => select(shown))
  }
}
