/** The list of shortcuts, which `?` opens. */
import { Suspense, useEffect, useRef, useState } from "react"
import { onKeys } from "./keys.ts"
import { later } from "./later.ts"

const ShortcutList = later(() => import("./ShortcutList.tsx"))

export function Shortcuts() {
  const dialog = useRef<HTMLDialogElement>(null)
  const [open, setOpen] = useState(false)
  useEffect(() =>
    onKeys({
      "?": () => {
        setOpen(true)
        dialog.current?.showModal()
      }
    }), [])
  return (
    <dialog ref={dialog} className="sheet" aria-labelledby="shortcuts-title" onClose={() => setOpen(false)}>
      {open
        ? (
          <>
            <form method="dialog">
              <h2 id="shortcuts-title">Shortcuts</h2>
              <button className="quiet small">Close</button>
            </form>
            <Suspense>
              <ShortcutList />
            </Suspense>
          </>
        )
        : null}
    </dialog>
  )
}
