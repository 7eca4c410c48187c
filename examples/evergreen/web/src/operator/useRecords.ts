/** Pages of everybody's tasks that a filter selects. The first page is read again and again. */
import { useCallback, useMemo, useState } from "react"
import type { Counts, Page } from "../api.ts"
import * as records from "./records.ts"
import { usePolled } from "./usePolled.ts"

/** The parameters of the page's address that the API knows under the same names. */
const parameters = ["userId", "agentId", "status", "waiting", "runner", "order"] as const

const every = 3_000
const limit = 50

/** The numbers of the tasks of the user and the agent that the address names, or else of all. */
export const useRecordCounts = (search: string): Counts | undefined => {
  const query = new URLSearchParams(search)
  const userId = query.get("userId") ?? undefined
  const agentId = query.get("agentId") ?? undefined
  return usePolled(useCallback(() => records.recordCounts({ userId, agentId }), [userId, agentId]), every).value
}

export const useRecords = (search: string) => {
  const [others, setOthers] = useState<Page<records.Record>>()
  const filter = useMemo(() => {
    const query = new URLSearchParams(search)
    return Object.fromEntries(parameters.map((name) => [name, query.getAll(name)]))
  }, [search])
  const { again, failed, value } = usePolled(useCallback(() => records.records({ ...filter, limit }), [filter]), every)
  const items = useMemo(() => {
    if (value === undefined) return undefined
    const first = new Set(value.items.map(({ id }) => id))
    return [...value.items, ...others?.items.filter(({ id }) => !first.has(id)) ?? []]
  }, [value, others])
  const next = others === undefined ? value?.next : others.next
  const more = async (): Promise<void> => {
    const cursor = filter["order"]?.includes("oldest") === true ? { after: next } : { before: next }
    const page = await records.records({ ...filter, ...cursor, limit })
    setOthers((before) => ({ ...page, items: [...before?.items ?? [], ...page.items] }))
  }
  const cancel = async (record: records.Record): Promise<void> => {
    await records.cancel(record)
    again()
  }
  return { items, failed, cancel, more: next === undefined ? undefined : more }
}
