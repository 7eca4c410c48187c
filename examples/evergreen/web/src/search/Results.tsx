/** The conversations that a search has found, each with the beginning of its newest message. */
import { Fragment } from "react"
import { Link } from "wouter"
import { attempt } from "../attempt.ts"
import { closeDrawer } from "../drawer.ts"
import { MarkView, useMarks } from "../Mark.tsx"
import { hrefOf, nameOf, plainText } from "../state/lists.ts"
import { dayOf } from "../time.tsx"
import type { Search } from "./useSearch.ts"
import "../css/found.css"

const words = /[\p{L}\p{M}\p{N}]+/gu

/** The text, with the words that begin as the person has typed. */
function Highlighted({ begins, text }: { readonly text: string; readonly begins: ReadonlyArray<string> }) {
  let at = 0
  const parts = [...text.matchAll(words)].flatMap(({ 0: word, index }) => {
    const begin = begins.find((begin) => word.toLowerCase().startsWith(begin))
    if (begin === undefined) return []
    const before = text.slice(at, index)
    at = index + begin.length
    return [{ at, before, marked: text.slice(index, at) }]
  })
  return (
    <>
      {parts.map(({ at, before, marked }) => (
        <Fragment key={at}>
          {before}
          <mark>{marked}</mark>
        </Fragment>
      ))}
      {text.slice(at)}
    </>
  )
}

export default function Results({ search: { found, readMore }, selected }: {
  readonly search: Search
  /** The place of the conversation that Enter opens. */
  readonly selected: number
}) {
  const marks = useMarks()
  if (found === undefined) {
    return (
      <div className="skeleton" role="status" aria-label="Searching">
        <i />
        <i />
        <i />
      </div>
    )
  }
  if (found.failed) return <p className="none" role="status">The server does not answer. Type on to search again.</p>
  if (found.items.length === 0) return <p className="none" role="status">No conversation has these words.</p>
  const begins = found.text.toLowerCase().match(words) ?? []
  return (
    <section className="found" aria-label="Conversations that were found">
      <p className="soft" role="status">{found.items.length}{found.next === undefined ? "" : " or more"} found</p>
      <ul>
        {found.items.map((conversation, i) => {
          const mark = marks.get(conversation.id)
          const text = conversation.title === undefined ? "" : plainText(conversation.preview ?? "")
          return (
            <li key={conversation.id}>
              <Link
                href={hrefOf(conversation)}
                onClick={closeDrawer}
                data-selected={i === selected || undefined}
                ref={(link) => {
                  if (i === selected) link?.scrollIntoView({ block: "nearest" })
                }}
              >
                <span className="title">
                  <Highlighted text={nameOf(conversation)} begins={begins} />
                </span>
                {mark === undefined
                  ? <span className="day">{dayOf(conversation.updatedAt)}</span>
                  : <MarkView mark={mark} />}
                {text === "" ? null : (
                  <span className="preview">
                    <Highlighted text={text} begins={begins} />
                  </span>
                )}
              </Link>
            </li>
          )
        })}
      </ul>
      {found.next === undefined
        ? null
        : <button type="button" className="ghost small" onClick={() => attempt(readMore())}>More</button>}
    </section>
  )
}
