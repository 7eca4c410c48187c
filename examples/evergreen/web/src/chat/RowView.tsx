/** One row of a conversation. */
import { ChevronLeft, ChevronRight, FileText, Pencil, RotateCcw, Scissors } from "lucide-react"
import { memo, type ReactNode } from "react"
import { Link } from "wouter"
import { Copy } from "../Copy.tsx"
import type { Row, ShownFile } from "../state/rows.ts"
import { BlockView, Markdown } from "../text/Markdown.tsx"
import { StatusLine } from "./StatusLine.tsx"
import { ToolCard } from "./ToolCard.tsx"

export interface RowProps {
  readonly row: Row
  /** It is the last row. */
  readonly last: boolean
  readonly connected: boolean
  readonly onEdit: (id: string, text: string) => void
  readonly onAgain: () => void
  /** Shows another version of a message. */
  readonly onVersion: (of: string, shown: string) => void
}

export function FileView({ file: { data, mediaType, name = "file" } }: { readonly file: ShownFile }) {
  if (data !== undefined && /^image\/(png|jpeg|gif|webp|avif)$/.test(mediaType)) {
    return <img className="picture" src={`data:${mediaType};base64,${data}`} alt={name} />
  }
  return (
    <span className="chip">
      <FileText aria-hidden /> {name}
    </span>
  )
}

function Versions({ id, onVersion, versions }: {
  readonly id: string
  readonly versions: ReadonlyArray<string>
  readonly onVersion: RowProps["onVersion"]
}) {
  const at = versions.indexOf(id)
  const newest = versions.at(-1) ?? id
  const step = (by: number) => onVersion(newest, versions[at + by] ?? newest)
  return (
    <div className="versions" role="group" aria-label="Versions">
      <button
        type="button"
        className="ghost small"
        aria-label="Earlier version"
        disabled={at <= 0}
        onClick={() => step(-1)}
      >
        <ChevronLeft aria-hidden />
      </button>
      {at + 1}/{versions.length}
      <button
        type="button"
        className="ghost small"
        aria-label="Later version"
        disabled={id === newest}
        onClick={() => step(1)}
      >
        <ChevronRight aria-hidden />
      </button>
    </div>
  )
}

function User({ onEdit, onVersion, row }: RowProps & { readonly row: Row & { kind: "user" } }) {
  const { files, id, text, versions, waits } = row
  const editable = id !== undefined && text !== "" && (versions === undefined || versions.at(-1) === id)
  return (
    <div
      className="user"
      role="group"
      aria-label="You"
      data-waits={waits || undefined}
      data-stored={id !== undefined || undefined}
    >
      <div className="said">
        {files.length === 0
          ? null
          : <div className="files">{files.map((file, i) => <FileView key={i} file={file} />)}</div>}
        {text === "" ? null : <p>{text}</p>}
      </div>
      {versions === undefined || id === undefined
        ? null
        : <Versions id={id} versions={versions} onVersion={onVersion} />}
      {!editable
        ? null
        : (
          <button
            type="button"
            className="ghost small reveal"
            aria-label="Edit and send again"
            title="Edit and send again"
            onClick={() => onEdit(id, text)}
          >
            <Pencil aria-hidden />
          </button>
        )}
    </div>
  )
}

function Thought({ text, writing }: { readonly text: string; readonly writing: boolean }) {
  return (
    <details className="thought">
      <summary>
        <ChevronRight className="chevron" aria-hidden /> {writing ? "Thoughts so far" : "Thoughts"}
      </summary>
      <Markdown text={text} writing={writing} />
    </details>
  )
}

function End({ last, onAgain, row }: RowProps & { readonly row: Row & { kind: "end" } }) {
  return (
    <footer className="end">
      <Copy text={row.text} label="Copy the answer" />
      {last
        ? (
          <button type="button" className="ghost small" onClick={onAgain} title="Answer again (R)">
            <RotateCcw aria-hidden /> Again
          </button>
        )
        : null}
      <span className="grow" />
      <Link href={`/t/${encodeURIComponent(row.taskId)}`} className="usage">
        {row.usage === "" ? "Details" : `Tokens: ${row.usage}`}
      </Link>
    </footer>
  )
}

const draw = (props: RowProps): ReactNode => {
  const { connected, last, onAgain, onVersion, row } = props
  switch (row.kind) {
    case "user":
      return <User {...props} row={row} />
    case "block":
      return (
        <div className="markdown">
          <BlockView text={row.block.text} />
        </div>
      )
    case "thought":
      return <Thought text={row.text} writing={row.writing} />
    case "call":
      return <ToolCard call={row.call} taskId={row.taskId} />
    case "sources":
      return (
        <p className="sources">
          Sources:{" "}
          {row.sources.map(({ title, url }) => (
            <a key={url} className="chip" href={url} target="_blank" rel="noreferrer noopener">{title}</a>
          ))}
        </p>
      )
    case "cut":
      return (
        <p className="status">
          <Scissors aria-hidden /> The answer was cut here.
        </p>
      )
    case "earlier":
      return (
        <p className="status">
          This is an earlier version. What came later is not shown.
          <button type="button" className="ghost small" onClick={() => onVersion(row.of, row.of)}>
            Back to the newest
          </button>
        </p>
      )
    case "sending":
      return (
        <p className="status">
          {connected ? "Sending" : "Not sent yet. It is sent when the server answers."}
        </p>
      )
    case "status":
      return <StatusLine live={row.live} connected={connected} last={last} onAgain={onAgain} />
    case "end":
      return <End {...props} row={row} />
    default:
      return null
  }
}

/** Rows are made again with each change; a row with the same parts is the same row. */
const same = (a: Row, b: Row): boolean => {
  if (a === b) return true
  const other: Record<string, unknown> = { ...b }
  // Two lists of versions are the same if they have the same number: versions are only added. The sources of an answer stay.
  const equal = (one: unknown, two: unknown) =>
    one === two || (Array.isArray(one) && Array.isArray(two) && (a.kind === "user" || a.kind === "sources")
      && one.length === two.length)
  return Object.entries(a).every(([name, value]) => equal(value, other[name]))
    && Object.keys(other).length === Object.keys(a).length
}

export const RowView = memo(
  draw,
  (a, b) =>
    same(a.row, b.row) && a.last === b.last && a.onEdit === b.onEdit && a.onAgain === b.onAgain
    && ((a.row.kind !== "status" && a.row.kind !== "sending") || a.connected === b.connected)
)
