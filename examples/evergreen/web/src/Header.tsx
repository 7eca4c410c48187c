/** The head of a page: the way to the list on a phone, the title, and what the page adds. */
import { Menu } from "lucide-react"
import type { ReactNode } from "react"
import { openDrawer } from "./drawer.ts"

export function Header({ children, title }: { readonly title: string; readonly children?: ReactNode }) {
  return (
    <header className="head">
      <button type="button" className="ghost only-phone" aria-label="Menu" onClick={openDrawer}>
        <Menu aria-hidden />
      </button>
      <h1>{title}</h1>
      <div className="head-end">{children}</div>
    </header>
  )
}
