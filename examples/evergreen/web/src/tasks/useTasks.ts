/** Pages of the tasks that a filter selects. The feed keeps them as they are now. */
import { useCallback, useEffect, useMemo, useState } from "react"
import * as api from "../api.ts"
import * as lists from "../state/lists.ts"

/** The parameters of the page's address that the API knows under the same names. */
const parameters = ["status", "agentId", "waiting", "q", "order"] as const

type Filter = Readonly<Record<string, ReadonlyArray<string>>>

const filterOf = (search: string): Filter => {
  const query = new URLSearchParams(search)
  return Object.fromEntries(parameters.map((name) => [name, query.getAll(name)]))
}

/** Whether a task belongs into the list. The server alone knows which tasks have a text. */
const selects = ({ agentId = [], q = [], status = [], waiting = [] }: Filter, task: api.ListedTask): boolean =>
  (status.length === 0 || status.includes(task.status))
  && (agentId.length === 0 || agentId.includes(task.agentId))
  && (waiting.length === 0 || (task.waiting ?? []).length > 0)
  && q.length === 0

interface Loaded {
  readonly items: ReadonlyArray<api.ListedTask>
  readonly next: string | undefined
}

const read = async (filter: Filter, next?: string): Promise<Loaded> => {
  const cursor = filter["order"]?.includes("oldest") === true ? { after: next } : { before: next }
  const page = await api.tasks({ ...filter, ...cursor, limit: 50 })
  return { items: page.items, next: page.next }
}

/** `fresh` counts the tasks that have come since: they do not move what the person reads. */
export const useTasks = (search: string) => {
  const [loaded, setLoaded] = useState<Loaded>()
  const [failed, setFailed] = useState(false)
  const [reads, setReads] = useState(0)
  const connected = lists.useLists((state) => state.connected)
  const live = lists.useLists((state) => state.tasks)
  const filter = useMemo(() => filterOf(search), [search])
  useEffect(() => {
    let shown = true
    read(filter).then(
      (page) => {
        if (!shown) return
        setFailed(false)
        setLoaded(page)
      },
      () => shown && setFailed(true)
    )
    return () => {
      shown = false
    }
  }, [filter, reads, connected])
  const items = useMemo(
    () =>
      loaded?.items.map((task) => {
        const now = live?.get(task.id)
        return now !== undefined && now.updatedAt > task.updatedAt ? now : task
      }),
    [loaded, live]
  )
  const fresh = useMemo(() => {
    const newest = items?.[0]?.createdAt ?? ""
    const known = new Set(items?.map(({ id }) => id))
    if (filter["order"]?.includes("oldest") === true) return 0
    return [...live?.values() ?? []].filter((task) =>
      task.createdAt >= newest && !known.has(task.id) && selects(filter, task)
    ).length
  }, [live, items, filter])
  const more = useCallback(async () => {
    if (loaded?.next === undefined) return
    const page = await read(filter, loaded.next)
    setLoaded({ items: [...loaded.items, ...page.items], next: page.next })
  }, [loaded, filter])
  return { items, failed, fresh, next: loaded?.next, more, again: () => setReads((count) => count + 1) }
}
