/** A block of code: its language, its colours once it is finished, and a button that copies it. */
import { useEffect, useState } from "react"
import { Copy } from "../Copy.tsx"

/** Larger code is shown without colours. */
const maxHighlighted = 20_000

export function Code({ closed, lang, text }: {
  readonly text: string
  readonly lang: string
  /** The block is complete. */
  readonly closed: boolean
}) {
  const [parts, setParts] = useState<ReadonlyArray<readonly [string, string]>>()
  useEffect(() => {
    if (!closed || text.length > maxHighlighted || lang === "") return
    let live = true
    void import("./highlight.ts").then(({ highlight }) => highlight(text, lang)).then(
      (found) => live && setParts(found),
      () => {} // no such language: no colours
    )
    return () => {
      live = false
    }
  }, [closed, text, lang])
  return (
    <figure className="code">
      <figcaption>
        <span>{lang === "" ? "text" : lang}</span>
        <Copy text={text} label="Copy the code" />
      </figcaption>
      <pre tabIndex={0} aria-label={`Code, ${lang === "" ? "text" : lang}`}>
        <code>
          {parts === undefined || !closed
            ? text
            : parts.map(([part, kind], i) =>
              kind === "" ? part : <span key={i} className={`shj-${kind}`}>{part}</span>)}
        </code>
      </pre>
    </figure>
  )
}
