/**
 * Markdown of an untrusted author. `marked` only cuts the text into tokens, and React makes the elements: there is no HTML to
 * sanitize. Raw HTML is shown as text, links have a safe protocol or are text, and images are links.
 */
import type { Token, Tokens } from "marked"
import { Fragment, memo, type ReactNode, useState } from "react"
import { Blocks, lex } from "./blocks.ts"
import { Code } from "./Code.tsx"

const protocols = new Set(["https:", "http:", "mailto:"])

const safe = (href: string): string | undefined => {
  if (!URL.canParse(href)) return undefined
  const url = new URL(href)
  return protocols.has(url.protocol) ? url.href : undefined
}

const entities: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: "\"", "#39": "'", nbsp: "\u00a0" }
const plain = (text: string): string =>
  text.replace(/&(amp|lt|gt|quot|#39|nbsp);/g, (_, name: string) => entities[name] ?? "")

const nodes = (tokens: ReadonlyArray<Token> | undefined): ReactNode =>
  tokens?.map((token, i) => <Fragment key={i}>{node(token)}</Fragment>)

function Table({ table }: { readonly table: Tokens.Table }) {
  return (
    <div className="scroll-x" tabIndex={0} role="group" aria-label="Table">
      <table>
        <thead>
          <tr>
            {table.header.map((cell, i) => (
              <th key={i} scope="col" data-align={cell.align ?? undefined}>{nodes(cell.tokens)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, r) => (
            <tr key={r}>
              {row.map((cell, i) => <td key={i} data-align={cell.align ?? undefined}>{nodes(cell.tokens)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function List({ list }: { readonly list: Tokens.List }) {
  // Of the newest item there may be nothing yet but its number.
  const items = list.items.filter((item) => item.text !== "").map((item, i) => (
    <li key={i}>
      {item.task
        ? (
          <input
            type="checkbox"
            checked={item.checked ?? false}
            readOnly
            disabled
            aria-label={item.checked === true ? "done" : "open"}
          />
        )
        : null}
      {nodes(item.tokens)}
    </li>
  ))
  return list.ordered ? <ol start={list.start === "" ? 1 : list.start}>{items}</ol> : <ul>{items}</ul>
}

// A token of `marked` is told apart by its `type`, but `Tokens.Generic` hides that from the compiler.
const node = (token: Token): ReactNode => {
  const t = token as Tokens.Generic
  switch (token.type) {
    case "space":
    case "def":
      return null
    case "paragraph":
      return <p>{nodes(t.tokens)}</p>
    // The page has the first level. Levels of an answer may leave some out, so that all are the second level to screen readers.
    case "heading":
      return <h2 data-depth={(t as Tokens.Heading).depth}>{nodes(t.tokens)}</h2>
    case "code": {
      const { lang = "", raw, text } = t as Tokens.Code
      return <Code text={text} lang={lang} closed={/\n?(`{3,}|~{3,})\s*$/.test(raw)} />
    }
    case "blockquote":
      return <blockquote>{nodes(t.tokens)}</blockquote>
    case "list":
      return <List list={t as Tokens.List} />
    case "table":
      return <Table table={t as Tokens.Table} />
    case "hr":
      return <hr />
    case "strong":
      return <strong>{nodes(t.tokens)}</strong>
    case "em":
      return <em>{nodes(t.tokens)}</em>
    case "del":
      return <del>{nodes(t.tokens)}</del>
    case "codespan":
      return <code>{plain((t as Tokens.Codespan).text)}</code>
    case "br":
      return <br />
    case "link":
    case "image": {
      const href = safe((t as Tokens.Link).href)
      const label = token.type === "image" ? `Image: ${(t as Tokens.Image).text}` : nodes(t.tokens)
      return href === undefined ? label : <a href={href} target="_blank" rel="noopener noreferrer nofollow">{label}</a>
    }
    case "escape":
      return (t as Tokens.Escape).text
    case "text":
      return t.tokens === undefined ? plain((t as Tokens.Text).text) : nodes(t.tokens)
    default:
      return token.raw // HTML, and what else there may be, as it was written
  }
}

/** One block of an answer. It is drawn again only if its text is another one. */
export const BlockView = memo(function BlockView({ text }: { readonly text: string }) {
  return nodes(lex(text))
})

/** A whole text. */
export function Markdown({ text, writing = false }: { readonly text: string; readonly writing?: boolean }) {
  const [blocks] = useState(() => new Blocks())
  return (
    <div className="markdown">
      {blocks.update(text, writing).map(({ key, text }) => <BlockView key={key} text={text} />)}
    </div>
  )
}
