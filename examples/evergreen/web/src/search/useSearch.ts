/** Asks the server for conversations while the person types. */
import { useEffect, useRef, useState } from "react"
import * as api from "../api.ts"

/** Milliseconds without a further letter before the server is asked. */
const pause = 200
/** Somebody who types on and on sees results after so many milliseconds, too. */
const longestPause = 600

export interface Found {
  /** The text whose results these are. */
  readonly text: string
  readonly items: ReadonlyArray<api.ListedConversation>
  readonly next: string | undefined
  readonly failed: boolean
}

export interface Search {
  /** Undefined before the first answer. */
  readonly found: Found | undefined
  readonly readMore: () => Promise<void>
}

export const useSearch = (text: string): Search => {
  const [found, setFound] = useState<Found>()
  const asked = useRef({ number: 0, shown: 0, since: 0 })
  useEffect(() => {
    const state = asked.current
    if (text === "") {
      state.shown = ++state.number
      state.since = 0
      return setFound(undefined)
    }
    const now = performance.now()
    state.since ||= now
    const ask = async (): Promise<void> => {
      state.since = 0
      const number = ++state.number
      const answer = await api.search(text).then(
        ({ items, next }): Found => ({ text, items, next, failed: false }),
        (): Found => ({ text, items: [], next: undefined, failed: true })
      )
      // An answer that comes late does not replace the answer to a later question.
      if (number < state.shown) return
      state.shown = number
      setFound(answer)
    }
    const timer = setTimeout(() => void ask(), Math.min(pause, Math.max(0, state.since + longestPause - now)))
    return () => clearTimeout(timer)
  }, [text])
  const readMore = async (): Promise<void> => {
    if (found?.next === undefined) return
    const { items, next } = await api.search(found.text, found.next)
    setFound((now) => now === found ? { ...found, items: [...found.items, ...items], next } : now)
  }
  return { found, readMore }
}
