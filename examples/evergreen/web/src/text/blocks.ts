/**
 * Cuts Markdown that is being written into blocks. A block that is finished stays the same object, so that only the last block
 * of an answer is drawn again.
 */
import { Lexer, type Token } from "marked"
import remend from "remend"

export interface Block {
  /** The place of the block in the text: it stays the same while the text grows. */
  readonly key: number
  /** Its Markdown. It is parsed when it is drawn: a long answer is kept as text. */
  readonly text: string
}

export const lex = (text: string): Array<Token> => Lexer.lex(text, { gfm: true })

/** The blocks alone. What is in them is parsed when they are drawn. */
const lexBlocks = (text: string): Array<Token> => new Lexer({ gfm: true }).blockTokens(text.replace(/\r\n?/g, "\n"))

/**
 * A text of its own. What an engine cuts out of a text keeps the whole text in memory, and while an answer is written there is
 * another whole text for each block.
 */
const detached = (text: string): string => ` ${text}`.slice(1)

export class Blocks {
  private done: ReadonlyArray<Block> = []
  private doneText = ""
  private last: { readonly text: string; readonly writing: boolean; readonly blocks: ReadonlyArray<Block> } | undefined

  update(text: string, writing: boolean): ReadonlyArray<Block> {
    if (this.last?.text === text && this.last.writing === writing) return this.last.blocks
    const blocks = this.cut(text, writing)
    this.last = { text, writing, blocks }
    return blocks
  }

  private cut(text: string, writing: boolean): ReadonlyArray<Block> {
    // Text becomes shorter when `discardAfter` has made some of it void.
    if (!text.startsWith(this.doneText)) {
      this.done = []
      this.doneText = ""
    }
    const start = this.doneText.length
    const tokens = lexBlocks(text.slice(start))
    const last = tokens.findLastIndex((token) => token.type !== "space")
    let at = start
    const blocks = tokens.map((token) => {
      const block: Block = { key: at, text: token.raw }
      at += token.raw.length
      return block
    })
    const finished = blocks
      .filter((_, i) => i < last && tokens[i]?.type !== "space")
      .map(({ key, text }) => ({ key, text: writing ? detached(text) : text }))
    const open = blocks[last]
    if (open === undefined) return this.done
    if (finished.length > 0) {
      this.done = [...this.done, ...finished]
      this.doneText = text.slice(0, open.key)
    }
    if (!writing || tokens[last]?.type === "code") return [...this.done, open]
    // The end of the last block is completed: an open `**` is bold already, half a link is not shown.
    return [...this.done, { key: open.key, text: remend(text.slice(open.key), { linkMode: "text-only" }) }]
  }
}
