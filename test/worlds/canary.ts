/** Puts a bug into the sources of this thread as they are loaded: the oracle must find it. */
import { registerHooks } from "node:module"
import type { Canary } from "./bugs/canary.ts"
import { canaries } from "./canaries.ts"

/** The text of a file with the bugs of a canary. Throws unless each place is there exactly once. */
export const change = (text: string, { edits, name }: Canary, file: string): string =>
  edits.filter((edit) => edit.file === file).reduce((text, { find, replace }) => {
    const parts = text.split(find)
    if (parts.length !== 2) {
      throw new Error(`Canary "${name}": "${find}" is ${parts.length - 1} times in ${file}: adapt it.`)
    }
    return parts.join(replace)
  }, text)

const root = new URL("../../", import.meta.url).href

/** Must run before the sources are loaded. */
export const apply = (name: string): void => {
  const canary = canaries.find((canary) => canary.name === name)
  if (canary === undefined) throw new Error(`There is no canary "${name}".`)
  registerHooks({
    load: (url, context, nextLoad) => {
      const loaded = nextLoad(url, context)
      const file = url.startsWith(root) ? url.slice(root.length) : ""
      return canary.edits.some((edit) => edit.file === file)
        ? { ...loaded, source: change(String(loaded.source), canary, file) }
        : loaded
    }
  })
}
