/** Single keys as shortcuts. They do nothing while a person types, and a setting turns them off (WCAG 2.1.4). */
import { setting } from "./settings.ts"
import type { Shortcut } from "./shortcuts.ts"

export type Keys = Readonly<Partial<Record<Shortcut, () => unknown>>>

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]")

/** Listens until the returned function is called. A key that is handled does nothing else. */
export const onKeys = (keys: Keys): () => void => {
  const listener = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return
    if (event.key.length === 1 && setting("shortcuts") === "off") return
    // The key opens what has the focus.
    if (event.key === "Enter" && event.target instanceof HTMLElement && event.target.matches("a, button, summary")) {
      return
    }
    if (document.querySelector("dialog[open]") !== null) return
    const handle = keys[event.key as Shortcut] // undefined for every other key
    if (handle === undefined) return
    event.preventDefault()
    handle()
  }
  addEventListener("keydown", listener)
  return () => removeEventListener("keydown", listener)
}
