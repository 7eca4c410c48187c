/**
 * Words of texts, by which conversations are found. Every store finds the same, because none has rules of its own.
 *
 * @since 0.1.0
 */
import type { StoredMessage } from "./Conversation.ts"
import { text } from "./Message.ts"

/** Longer words are cut. */
const maxLength = 64
/** More words of one text are left out. */
const maxWords = 2_000
/** More words of a query are left out. */
const maxQuery = 10

/** Scripts without spaces between words: each character is a word. */
const single = "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}"
const words = new RegExp(`[${single}]|(?:(?![${single}])[\\p{L}\\p{M}\\p{N}])+`, "gu")

/**
 * The words of a text in lower case, without duplicates: runs of letters and digits.
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import { SearchText } from "@perennial/domain"
 *
 * SearchText.wordsOf("Trees, trees and the 2nd TREE") // => ["trees", "and", "the", "2nd", "tree"]
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const wordsOf = (text: string): ReadonlyArray<string> => {
  const found = new Set<string>()
  for (const [word] of text.normalize("NFKC").toLowerCase().matchAll(words)) {
    if (found.size === maxWords) break
    found.add(word.length <= maxLength ? word : Array.from(word).slice(0, maxLength).join(""))
  }
  return [...found]
}

/**
 * The words by which a conversation is found that has these messages: what users and agents said.
 *
 * @since 0.1.0
 * @category accessors
 */
export const wordsOfMessages = (messages: ReadonlyArray<StoredMessage>): ReadonlyArray<string> =>
  wordsOf(messages.map(({ message }) => message.role === "tool" ? "" : text(message)).join("\n"))

/**
 * The beginnings of words that a query asks for, at most 10. Each of them must be in a conversation.
 *
 * @since 0.1.0
 * @category accessors
 */
export const prefixesOf = (query: string): ReadonlyArray<string> => wordsOf(query).slice(0, maxQuery)

/**
 * A text after every word that begins with a prefix, by the bytes of UTF-8.
 *
 * @since 0.1.0
 * @category accessors
 */
export const endOf = (prefix: string): string => `${prefix}\u{10FFFF}`

/**
 * Whether words have all of these beginnings. A query without a word matches nothing.
 *
 * @since 0.1.0
 * @category predicates
 */
export const matches = (words: ReadonlyArray<string>, prefixes: ReadonlyArray<string>): boolean =>
  prefixes.length > 0 && prefixes.every((prefix) => words.some((word) => word.startsWith(prefix)))
