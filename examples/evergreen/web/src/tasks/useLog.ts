/** The log of a task with its times: stored pages first, then the events that come. */
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { useEffect, useState } from "react"
import * as api from "../api.ts"
import * as hub from "../hub/client.ts"
import { taskSource } from "../hub/messages.ts"

export interface Log {
  readonly events: ReadonlyArray<StoredEvent>
  readonly state: "loading" | "ready" | "expired" | "failed"
}

export const useLog = (id: string): Log => {
  const [log, setLog] = useState<Log>({ events: [], state: "loading" })
  useEffect(() => {
    let shown = true
    const events: Array<StoredEvent> = []
    const cursor = () => events.at(-1)?.seq ?? 0
    const load = async (): Promise<void> => {
      try {
        for (let page: api.EventPage | undefined; page === undefined || cursor() < page.lastSeq;) {
          page = await api.events(id, cursor())
          if (!shown) return
          events.push(...page.events)
        }
        setLog({ events: [...events], state: "ready" })
        hub.follow(taskSource(id), () => `${id}/${cursor()}`)
      } catch (error) {
        const expired = error instanceof api.Problem && error.status === 410
        if (shown) setLog({ events: [], state: expired ? "expired" : "failed" })
      }
    }
    const stop = hub.onNews((news) => {
      if (news.type !== "events" || news.source !== taskSource(id) || cursor() === 0) return
      for (const event of news.events) if (event.seq > cursor()) events.push(event)
      setLog({ events: [...events], state: "ready" })
    })
    void load()
    return () => {
      shown = false
      stop()
      hub.unfollow(taskSource(id))
    }
  }, [id])
  return log
}
