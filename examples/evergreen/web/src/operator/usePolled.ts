/** Reads again and again while the page is visible: no feed tells an operator about the tasks of others. */
import { useEffect, useState } from "react"

export interface Polled<A> {
  readonly value: A | undefined
  readonly failed: boolean
  /** Reads now. */
  readonly again: () => void
}

/** `read` is a stable function: another function is another thing to read. `every` is the time between two reads, in milliseconds. */
export const usePolled = <A>(read: () => Promise<A>, every: number): Polled<A> => {
  const [state, setState] = useState<{ readonly value?: A; readonly failed: boolean }>({ failed: false })
  const [reads, setReads] = useState(0)
  useEffect(() => {
    let shown = true
    let timer: ReturnType<typeof setTimeout> | undefined
    const next = async (): Promise<void> => {
      clearTimeout(timer)
      if (document.hidden) return
      const outcome = await read().then((value) => ({ value, failed: false }), () => ({ failed: true }))
      if (!shown) return
      setState((before) => ({ ...before, ...outcome }))
      timer = setTimeout(next, every)
    }
    void next()
    document.addEventListener("visibilitychange", next)
    return () => {
      shown = false
      clearTimeout(timer)
      document.removeEventListener("visibilitychange", next)
    }
  }, [read, every, reads])
  return { value: state.value, failed: state.failed, again: () => setReads((count) => count + 1) }
}
