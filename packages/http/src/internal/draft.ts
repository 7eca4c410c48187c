/**
 * The text of an answer while it is written, for protocols that cannot take a character back: what to open, to add, to close, and
 * what became void. At the end of an answer the text is what the conversation stores.
 */
import type { AssistantMessage } from "@perennial/domain/Message"

export type Kind = "text" | "reasoning"

interface Block {
  readonly kind: Kind
  readonly text: string
  /** So many characters cannot become void before their message. */
  readonly kept: number
}

/** What happens to the text, in order. `void`: everything that was opened since the last message. */
export type Change =
  | { readonly type: "open"; readonly kind: Kind }
  | { readonly type: "delta"; readonly text: string }
  | { readonly type: "close" }
  | { readonly type: "void" }

export interface Draft {
  readonly blocks: ReadonlyArray<Block>
  /** Whether the last block is open. */
  readonly open: boolean
  /** The pieces of a message that continues in the next event. */
  readonly pieces: AssistantMessage["content"]
}

export interface Changed {
  readonly draft: Draft
  readonly changes: ReadonlyArray<Change>
}

export const empty: Draft = { blocks: [], open: false, pieces: [] }

/** A part of the text of a message. */
export interface Piece {
  readonly kind: Kind
  readonly text: string
}

/** Adjacent text is one text: the model's blocks may be cut differently. */
export const joined = (pieces: ReadonlyArray<Piece>): ReadonlyArray<Piece> => {
  const out: Array<Piece> = []
  for (const { kind, text } of pieces) {
    const last = out.at(-1)
    if (text === "") continue
    if (last?.kind === kind) out[out.length - 1] = { kind, text: last.text + text }
    else out.push({ kind, text })
  }
  return out
}

const same = (one: ReadonlyArray<Piece>, other: ReadonlyArray<Piece>): boolean =>
  one.length === other.length && one.every(({ kind, text }, i) => kind === other[i]?.kind && text === other[i].text)

const nothing = (draft: Draft): Changed => ({ draft, changes: [] })

const whole = (pieces: ReadonlyArray<Piece>): ReadonlyArray<Change> =>
  pieces.flatMap(({ kind, text }): ReadonlyArray<Change> => [
    { type: "open", kind },
    { type: "delta", text },
    { type: "close" }
  ])

export const close = (draft: Draft): Changed =>
  draft.open ? { draft: { ...draft, open: false }, changes: [{ type: "close" }] } : nothing(draft)

export const delta = (draft: Draft, kind: Kind, text: string): Changed => {
  if (text === "") return nothing(draft)
  const last = draft.blocks.at(-1)
  if (draft.open && last?.kind === kind) {
    const blocks = [...draft.blocks.slice(0, -1), { ...last, text: last.text + text }]
    return { draft: { ...draft, blocks }, changes: [{ type: "delta", text }] }
  }
  const { changes } = close(draft)
  return {
    draft: { ...draft, blocks: [...draft.blocks, { kind, text, kept: 0 }], open: true },
    changes: [...changes, { type: "open", kind }, { type: "delta", text }]
  }
}

/** `discardAfter` cannot name an event before this one. */
export const keep = (draft: Draft): Draft => ({
  ...draft,
  blocks: draft.blocks.map(({ kind, text }) => ({ kind, text, kept: text.length }))
})

/** What `retry` and `resumed` make void. */
export const discard = (draft: Draft): Changed => {
  if (draft.blocks.every(({ kept, text }) => kept === text.length)) return nothing(draft)
  const pieces = joined(draft.blocks.map(({ kept, kind, text }) => ({ kind, text: text.slice(0, kept) })))
  return {
    draft: { ...empty, blocks: pieces.map(({ kind, text }) => ({ kind, text, kept: text.length })) },
    changes: [{ type: "void" }, ...whole(pieces)]
  }
}

/** The answer is complete. `content` is all of it, except where it continues in the next event. */
export const settle = (
  draft: Draft,
  message: AssistantMessage,
  continued: boolean
): Changed & { readonly content: AssistantMessage["content"] } => {
  const content = [...draft.pieces, ...message.content]
  if (continued) return { draft: { ...draft, pieces: content }, changes: [], content: [] }
  const stored = joined(
    content.flatMap((part) =>
      part.type === "text" || part.type === "reasoning" ? [{ kind: part.type, text: part.text }] : []
    )
  )
  if (same(joined(draft.blocks), stored)) return { draft: empty, changes: close(draft).changes, content }
  const gone: ReadonlyArray<Change> = draft.blocks.length === 0 ? [] : [{ type: "void" }]
  return { draft: empty, changes: [...gone, ...whole(stored)], content }
}

/** The task has ended: text without a message is in no conversation. */
export const drop = (draft: Draft): Changed =>
  draft.blocks.length === 0 ? nothing(empty) : { draft: empty, changes: [{ type: "void" }] }
