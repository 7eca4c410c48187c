/** Pages of the tasks with some statuses, the newest first. The feed keeps them as they are now. */
import { useCallback, useEffect, useMemo, useState } from "react"
import * as api from "../api.ts"
import * as lists from "../state/lists.ts"

interface Loaded {
  readonly items: ReadonlyArray<api.ListedTask>
  readonly next: string | undefined
}

/** `fresh` counts the tasks that have come since: they do not move what the person reads. */
export const useTasks = (statuses: ReadonlyArray<string>) => {
  const [loaded, setLoaded] = useState<Loaded>()
  const [failed, setFailed] = useState(false)
  const [reads, setReads] = useState(0)
  const connected = lists.useLists((state) => state.connected)
  const live = lists.useLists((state) => state.tasks)
  const key = statuses.join()
  useEffect(() => {
    let shown = true
    const status = key === "" ? [] : key.split(",")
    api.tasks({ status, limit: 50 }).then(
      ({ items, next }) => {
        if (!shown) return
        setFailed(false)
        setLoaded({ items, next })
      },
      () => shown && setFailed(true)
    )
    return () => {
      shown = false
    }
  }, [key, reads, connected])
  const items = useMemo(
    () =>
      loaded?.items.map((task) => {
        const now = live?.get(task.id)
        return now !== undefined && now.updatedAt > task.updatedAt ? now : task
      }),
    [loaded, live]
  )
  const newest = items?.[0]?.createdAt ?? ""
  const fresh = useMemo(() => {
    const known = new Set(items?.map(({ id }) => id))
    return [...live?.values() ?? []].filter((task) =>
      task.createdAt >= newest && !known.has(task.id) && (key === "" || key.split(",").includes(task.status))
    ).length
  }, [live, items, newest, key])
  const more = useCallback(async () => {
    if (loaded?.next === undefined) return
    const page = await api.tasks({ status: key === "" ? [] : key.split(","), limit: 50, before: loaded.next })
    setLoaded({ items: [...loaded.items, ...page.items], next: page.next })
  }, [loaded, key])
  return { items, failed, fresh, next: loaded?.next, more, again: () => setReads((count) => count + 1) }
}
