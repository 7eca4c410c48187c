/** The rows of a conversation, the newest at the end. Of a long conversation only what is seen is in the document. */
import { useVirtualizer } from "@tanstack/react-virtual"
import { ArrowDown } from "lucide-react"
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "react"
import type { Row } from "../state/rows.ts"
import { RowView } from "./RowView.tsx"
import { windowAround } from "./window.ts"

/** A conversation with fewer rows, all of which were read, is in the document as a whole: the browser finds in it, and screen readers walk through it. */
const wholeBelow = 150

/** Beyond so many rows, a person who is at the end needs only the last `wholeBelow` of them. */
const most = 2 * wholeBelow

/** Rows above those that are seen, from which on earlier messages are read. */
const ahead = 20

/** Rows before or after those that are seen, from which on the list gets others. */
const margin = 75

const estimates: Record<Row["kind"], number> = {
  user: 72,
  block: 90,
  thought: 32,
  call: 48,
  sources: 32,
  cut: 32,
  sending: 36,
  earlier: 40,
  status: 36,
  end: 40
}

const isAnswer = (row: Row | undefined): boolean =>
  row?.kind === "block" || row?.kind === "thought" || row?.kind === "call" || row?.kind === "sources" ||
  row?.kind === "cut"

/** A line that belongs to the message above it. */
const isBelowMessage = (row: Row): boolean =>
  row.kind === "sending" ||
  (row.kind === "status" && row.live.attempt === 0 && row.live.view.status !== "running" &&
    row.live.view.status !== "error")

/** The stored message from which on rows are kept. It is always a question: no answer is cut in two. */
const keptFrom = (rows: ReadonlyArray<Row>): string | undefined =>
  rows.length > most
    ? rows.slice(0, -wholeBelow).findLast((row) => row.kind === "user" && row.id !== undefined)?.key
    : undefined

export function Messages({ connected, onAgain, onDrop, onEdit, onOlder, onVersion, rows }: {
  readonly rows: ReadonlyArray<Row>
  readonly connected: boolean
  readonly onEdit: (id: string, text: string) => void
  readonly onAgain: () => void
  readonly onVersion: (of: string, shown: string) => void
  /** Reads the messages before the first one, if there are any. */
  readonly onOlder: (() => Promise<void>) | undefined
  /** Drops the messages before one of them. */
  readonly onDrop: (id: string) => void
}) {
  const scroller = useRef<HTMLDivElement>(null)
  const [atEnd, setAtEnd] = useState(true)
  const [middle, setMiddle] = useState<string>()
  const { from, listed } = useMemo(() => windowAround(rows, atEnd ? undefined : middle), [rows, atEnd, middle])
  const list = useVirtualizer({
    count: listed.length,
    getScrollElement: () => scroller.current,
    estimateSize: (i) => estimates[listed[i]?.kind ?? "block"],
    getItemKey: (i) => listed[i]?.key ?? i,
    overscan: onOlder === undefined && rows.length < wholeBelow ? wholeBelow : 3,
    anchorTo: "end",
    followOnAppend: true,
    scrollEndThreshold: 60,
    paddingStart: 24,
    paddingEnd: 24,
    // Only a person who scrolls up leaves the end. What grows below takes nobody away from it.
    onChange: (list) => setAtEnd((now) => list.isAtEnd(80) || (now && list.scrollDirection !== "backward"))
  })
  const size = list.getTotalSize()
  const key = rows.length > 0
  useLayoutEffect(() => {
    if (key && atEnd) list.scrollToEnd()
  }, [key, atEnd, size, list])
  const items = list.getVirtualItems()
  const first = items[0]?.index ?? rows.length
  const last = items.at(-1)?.index ?? 0
  const firstKey = rows[0]?.key
  useEffect(() => {
    if (from + first < ahead && firstKey !== undefined) void onOlder?.().catch(() => {}) // it is read again when the person scrolls
  }, [from, first, firstKey, onOlder])
  const isShort = (from > 0 && first < margin) || (from + listed.length < rows.length && last > listed.length - margin)
  const wanted = isShort ? listed[first]?.key : middle
  useEffect(() => setMiddle(atEnd ? undefined : wanted), [atEnd, wanted])
  const kept = atEnd ? keptFrom(rows) : undefined
  useEffect(() => {
    if (kept === undefined || kept === firstKey) return
    onDrop(kept)
    // The list would keep the sizes of all rows that ever were.
    const sizes = list.itemSizeCache
    const keys = new Set<unknown>(listed.map(({ key }) => key))
    for (const key of sizes.keys()) if (!keys.has(key)) sizes.delete(key)
  }, [kept, firstKey, onDrop, list, listed])
  // The own message of a person is always seen.
  const asked = useMemo(() => rows.findLast((row) => row.kind === "user" && row.id === undefined)?.key, [rows])
  useLayoutEffect(() => {
    if (asked !== undefined) setAtEnd(true)
  }, [asked])
  return (
    <>
      <div className="messages" ref={scroller} tabIndex={0} role="region" aria-label="Messages">
        <div className="rows" style={{ height: size }}>
          {items.map(({ index, key, start }) => {
            const row = listed[index]
            if (row === undefined) return null
            return (
              <div
                className="item"
                key={key}
                data-index={index}
                data-kind={row.kind}
                data-tight={(isAnswer(row) && isAnswer(listed[index + 1])) || undefined}
                data-queued={isBelowMessage(row) || undefined}
                ref={list.measureElement}
                style={{ transform: `translateY(${start}px)` }}
              >
                <RowView
                  row={row}
                  last={from + index === rows.length - 1}
                  connected={connected}
                  onEdit={onEdit}
                  onAgain={onAgain}
                  onVersion={onVersion}
                />
              </div>
            )
          })}
        </div>
      </div>
      <div className="down">
        {atEnd ? null : (
          <button type="button" className="quiet" onClick={() => setAtEnd(true)}>
            <ArrowDown aria-hidden /> Newest
          </button>
        )}
      </div>
    </>
  )
}
