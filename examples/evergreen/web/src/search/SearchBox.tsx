/** Where one writes what to search for. The arrow keys choose one of the conversations, Enter opens it, and Escape ends the search. */
import { Search } from "lucide-react"
import type { KeyboardEvent } from "react"

export function SearchBox({ onChange, onChoose, onOpen, text }: {
  readonly text: string
  readonly onChange: (text: string) => void
  readonly onChoose: (by: 1 | -1) => void
  readonly onOpen: () => void
}) {
  const onKey = (event: KeyboardEvent<HTMLInputElement>): void => {
    if (event.nativeEvent.isComposing) return
    const action = {
      ArrowDown: () => onChoose(1),
      ArrowUp: () => onChoose(-1),
      Enter: onOpen,
      Escape: () => text === "" ? event.currentTarget.blur() : onChange("")
    }[event.key]
    if (action === undefined) return
    event.preventDefault()
    action()
  }
  return (
    <div className="search">
      <Search aria-hidden />
      <input
        type="search"
        aria-label="Search conversations"
        placeholder="Search"
        maxLength={200}
        value={text}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={onKey}
      />
      <kbd>/</kbd>
    </div>
  )
}
