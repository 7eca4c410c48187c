/** Renames or deletes a conversation. */
import { Ellipsis, Trash2 } from "lucide-react"
import { useEffect, useRef, useState } from "react"
import { useLocation } from "wouter"
import * as api from "../api.ts"
import * as lists from "../state/lists.ts"

const longestTitle = 200

export default function ConversationActions({ id, title }: { readonly id: string; readonly title: string }) {
  const [, navigate] = useLocation()
  const dialog = useRef<HTMLDialogElement>(null)
  const [text, setText] = useState(title)
  const [sure, setSure] = useState(false)
  const [problem, setProblem] = useState<string>()
  useEffect(() => setText(title), [title])
  const attempt = async (action: () => Promise<unknown>): Promise<void> => {
    try {
      await action()
      dialog.current?.close()
    } catch (error) {
      setProblem((error as Error).message)
    }
  }
  const rename = () =>
    attempt(async () => {
      await api.rename(id, text.trim())
      lists.conversationsChanged()
    })
  const remove = () =>
    attempt(async () => {
      await lists.removeConversation(id)
      navigate("/")
    })
  return (
    <>
      <button
        type="button"
        className="ghost small"
        aria-label="Rename or delete"
        title="Rename or delete"
        onClick={() => dialog.current?.showModal()}
      >
        <Ellipsis aria-hidden />
      </button>
      <dialog
        ref={dialog}
        className="sheet narrow"
        aria-label="Rename or delete"
        onClose={() => {
          setSure(false)
          setProblem(undefined)
        }}
      >
        <form
          onSubmit={(event) => {
            event.preventDefault()
            void rename()
          }}
        >
          <label>
            Title
            <input value={text} maxLength={longestTitle} onChange={(event) => setText(event.target.value)} />
          </label>
          {problem === undefined ? null : <p role="alert" className="danger">{problem}</p>}
          <div className="buttons">
            <button className="primary" disabled={text.trim() === ""}>Rename</button>
            <button type="button" className="quiet" onClick={() => dialog.current?.close()}>Cancel</button>
            <span className="grow" />
            <button type="button" className="ghost danger" onClick={() => sure ? void remove() : setSure(true)}>
              <Trash2 aria-hidden /> {sure ? "Delete for good" : "Delete"}
            </button>
          </div>
        </form>
      </dialog>
    </>
  )
}
