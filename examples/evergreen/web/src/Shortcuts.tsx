/** The list of shortcuts, which `?` opens. */
import { Suspense, useEffect, useRef } from "react"
import { onKeys } from "./keys.ts"
import { later } from "./later.ts"

const ShortcutList = later(() => import("./ShortcutList.tsx"))

export function Shortcuts() {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => onKeys({ "?": () => dialog.current?.showModal() }), [])
  return (
    <dialog ref={dialog} className="sheet" aria-labelledby="shortcuts-title">
      <form method="dialog">
        <h2 id="shortcuts-title">Shortcuts</h2>
        <button className="quiet small">Close</button>
      </form>
      <Suspense>
        <ShortcutList />
      </Suspense>
    </dialog>
  )
}
