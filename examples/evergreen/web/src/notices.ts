/** What reaches a person who looks elsewhere: the badge of the app, and a notification if the person has allowed it. */
import { useEffect, useRef } from "react"
import { mayNotify } from "./settings.ts"
import { countWaiting, useLists } from "./state/lists.ts"

export const useNotices = (): void => {
  const waiting = useLists(countWaiting)
  const before = useRef(waiting)
  const shown = useRef<Notification>(undefined)
  useEffect(() => {
    const badge: { setAppBadge?: (count: number) => Promise<void> } = navigator
    void badge.setAppBadge?.(waiting).catch(() => {}) // only an installed app has a badge
    if (waiting > before.current && !document.hasFocus() && mayNotify()) {
      // The contents stay in the app.
      shown.current?.close()
      shown.current = new Notification("Evergreen needs you", {
        body: waiting === 1 ? "1 tool call waits for your decision." : `${waiting} tool calls wait for your decision.`,
        tag: "needs-you"
      })
    }
    before.current = waiting
  }, [waiting])
}
