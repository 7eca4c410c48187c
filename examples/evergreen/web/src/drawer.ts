/** The sidebar of a phone: a native dialog, which holds the focus and closes with Escape. It is empty while it is closed. */
import { makeStore } from "./state/store.ts"

const store = makeStore({ open: false })

export const useDrawer = (): boolean => store.use(({ open }) => open)

const drawer = (): HTMLDialogElement | null => document.querySelector("dialog.drawer")

export const openDrawer = (): void => {
  store.set(() => ({ open: true }))
  drawer()?.showModal()
}

export const closeDrawer = (): void => drawer()?.close()

/** The dialog has been closed, also by the browser. */
export const drawerClosed = (): void => store.set(() => ({ open: false }))
