/** The files that a model has refused to one task. In later prompts of the task a note takes the place of each. */
import type { FilePart, Message } from "@perennial/domain/Message"
import { replaceFiles } from "../history/files.ts"

const filesOf = ({ content }: Message): ReadonlyArray<FilePart> => content.filter((part) => part.type === "file")

/** After so many refusals all files are replaced (P11). */
const maxRounds = 3

export class RefusedFiles {
  readonly #refused = new Set<FilePart>()
  #rounds = 0

  replace(messages: ReadonlyArray<Message>): ReadonlyArray<Message> {
    return this.#refused.size === 0
      ? messages
      : replaceFiles(messages, (file) => this.#refused.has(file) ? "which the model cannot read" : undefined)
  }

  /**
   * Records a refusal of these messages. If the provider does not say which file it has refused, the files of the newest
   * message with files are taken for it. Returns false if there is no file.
   */
  add(
    messages: ReadonlyArray<Message>,
    position: { readonly message: number; readonly part: number } | undefined
  ): boolean {
    const newest = messages.findLast((message) => filesOf(message).length > 0)
    if (newest === undefined) return false
    this.#rounds++
    const named = position === undefined ? undefined : messages[position.message]?.content[position.part]
    const blamed = this.#rounds > maxRounds
      ? messages.flatMap(filesOf)
      : named?.type === "file"
      ? [named]
      : filesOf(newest)
    for (const file of blamed) this.#refused.add(file)
    return true
  }
}
