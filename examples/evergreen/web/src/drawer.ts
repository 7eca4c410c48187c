/** The sidebar of a phone: a native dialog, which holds the focus and closes with Escape. */
const drawer = (): HTMLDialogElement | null => document.querySelector("dialog.drawer")

export const openDrawer = (): void => drawer()?.showModal()
export const closeDrawer = (): void => drawer()?.close()
