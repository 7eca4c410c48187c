/** The events of a task as they are stored. Chunks of text that follow one another are one line. */
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { useMemo, useState } from "react"
import { brief } from "../chat/json.ts"
import { Copy } from "../Copy.tsx"
import { duration } from "../time.tsx"

interface Line {
  readonly seq: number
  readonly at: number
  readonly type: string
  text: string
  count: number
}

const isChunk = (type: string): boolean => type === "text" || type === "reasoning"

const linesOf = (events: ReadonlyArray<StoredEvent>): ReadonlyArray<Line> => {
  const lines: Array<Line> = []
  for (const { at, event, seq } of events) {
    const last = lines.at(-1)
    if (isChunk(event.type) && last?.type === event.type && "content" in event) {
      last.text += event.content
      last.count++
      continue
    }
    const { conversationId: _, taskId: __, type, ...fields } = event as { type: string } & Record<string, unknown>
    lines.push({ seq, at, type, text: isChunk(type) ? String(fields["content"]) : brief(fields), count: 1 })
  }
  return lines
}

export function EventList({ events }: { readonly events: ReadonlyArray<StoredEvent> }) {
  const [type, setType] = useState("")
  const lines = useMemo(() => linesOf(events), [events])
  const types = [...new Set(lines.map((line) => line.type))]
  const begin = events[0]?.at ?? 0
  return (
    <section aria-label="Events">
      <div className="filters">
        <label>
          Type{" "}
          <select value={type} onChange={(event) => setType(event.target.value)}>
            <option value="">all</option>
            {types.map((one) => <option key={one}>{one}</option>)}
          </select>
        </label>
        <span className="grow" />
        <Copy text={JSON.stringify(events, null, 2)} label="Copy the events as JSON" />
      </div>
      <ol className="events">
        {lines.filter((line) => type === "" || line.type === type).map((line) => (
          <li key={line.seq}>
            <span className="number">{line.seq}</span>
            <span className="number">+{duration(line.at - begin)}</span>
            <b>{line.type}{line.count > 1 ? ` ×${line.count}` : ""}</b>
            <span className="line">{line.text}</span>
          </li>
        ))}
      </ol>
    </section>
  )
}
