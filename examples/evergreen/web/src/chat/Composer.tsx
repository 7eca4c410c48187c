/** Where a person writes. While an answer is written, a message waits behind it or interrupts it. */
import { ArrowUp, ListPlus, Paperclip, Square, X, Zap } from "lucide-react"
import { type ClipboardEvent, type KeyboardEvent, useEffect, useRef, useState } from "react"
import * as api from "../api.ts"
import { attempt } from "../attempt.ts"
import { persistent } from "../later.ts"
import * as conversation from "../state/conversation.ts"
import type { Live } from "../state/live.ts"
import { type Draft, emptyDraft } from "./draft.ts"
import { FileView } from "./RowView.tsx"

function Actions({ canSend, onInterrupt, running }: {
  readonly canSend: boolean
  readonly running: Live | undefined
  readonly onInterrupt: () => void
}) {
  if (running === undefined) {
    return (
      <button className="primary" disabled={!canSend} title="Send (Enter)" aria-label="Send">
        <ArrowUp aria-hidden />
      </button>
    )
  }
  return (
    <>
      <button
        type="button"
        className="quiet"
        title="Stop (Esc)"
        onClick={() => attempt(api.cancel(running.task.id))}
      >
        <Square aria-hidden /> Stop
      </button>
      {canSend
        ? (
          <>
            <button type="button" className="quiet" title="Stop it and send this (Ctrl+Enter)" onClick={onInterrupt}>
              <Zap aria-hidden /> Interrupt
            </button>
            <button className="primary" title="Send when it is done (Enter)">
              <ListPlus aria-hidden /> Queue
            </button>
          </>
        )
        : null}
    </>
  )
}

export function Composer({ active, draft, id, onSent, setDraft }: {
  readonly id: string
  readonly active: ReadonlyArray<Live>
  readonly draft: Draft
  readonly setDraft: (draft: Draft) => void
  readonly onSent: () => void
}) {
  const box = useRef<HTMLTextAreaElement>(null)
  const chooser = useRef<HTMLInputElement>(null)
  const [problem, setProblem] = useState<string>()
  const running = active.find(({ view }) => view.status === "running") ?? active[0]
  const canSend = draft.text.trim() !== "" || draft.files.length > 0
  useEffect(() => {
    // On a phone the keyboard would cover half of what one came to read.
    if (draft.replaces !== undefined || matchMedia("(hover: hover)").matches) box.current?.focus()
  }, [id, draft.replaces])

  const send = async (onBusy: api.OnBusy): Promise<void> => {
    if (!canSend) return
    setDraft(emptyDraft)
    setProblem(undefined)
    const { files, replaces, text } = draft
    try {
      await conversation.send({ text: text.trim(), files, conversationId: id, onBusy, ...replaces ? { replaces } : {} })
      onSent()
    } catch (error) {
      setProblem((error as Error).message)
      setDraft(draft)
    }
  }
  const add = async (files: ReadonlyArray<File>): Promise<void> => {
    if (files.length === 0) return
    const { attach } = await persistent(() => import("./files.ts"))
    const attached = await attach(draft.files, files)
    if (typeof attached === "string") setProblem(attached)
    else setDraft({ ...draft, files: attached })
  }
  const onKey = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault()
      void send(event.ctrlKey || event.metaKey ? "interrupt" : "enqueue")
    } else if (event.key === "Escape") {
      if (draft.replaces !== undefined) setDraft(emptyDraft)
      else if (running !== undefined) attempt(api.cancel(running.task.id))
    }
  }
  const onPaste = (event: ClipboardEvent) => {
    if (event.clipboardData.files.length > 0) event.preventDefault()
    void add([...event.clipboardData.files])
  }
  useEffect(() => {
    const listening = new AbortController()
    // On the whole page: the browser would open a file that is dropped beside the box. Files can be read only when they are dropped.
    const onDrag = (event: DragEvent): void => {
      if (!event.dataTransfer?.types.includes("Files")) return
      event.preventDefault()
      void add([...event.dataTransfer.files])
    }
    document.addEventListener("dragover", onDrag, listening)
    document.addEventListener("drop", onDrag, listening)
    return () => listening.abort()
  })
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault()
        void send("enqueue")
      }}
    >
      {draft.replaces === undefined ? null : (
        <p className="hint">
          Sending replaces your earlier message and everything after it.{" "}
          <button type="button" className="ghost small" onClick={() => setDraft(emptyDraft)}>Keep it</button>
        </p>
      )}
      {problem === undefined ? null : <p role="alert" className="danger hint">{problem}</p>}
      <div className="box">
        {draft.files.length === 0 ? null : (
          <ul className="files">
            {draft.files.map((file, i) => (
              <li key={i}>
                <FileView file={file} />
                <button
                  type="button"
                  className="ghost small"
                  aria-label={`Remove ${file.name}`}
                  onClick={() => setDraft({ ...draft, files: draft.files.filter((_, at) => at !== i) })}
                >
                  <X aria-hidden />
                </button>
              </li>
            ))}
          </ul>
        )}
        <input
          ref={chooser}
          type="file"
          multiple
          hidden
          aria-label="Files"
          onChange={({ target }) => {
            void add([...target.files ?? []])
            target.value = ""
          }}
        />
        <button type="button" className="ghost clip" aria-label="Attach files" onClick={() => chooser.current?.click()}>
          <Paperclip aria-hidden />
        </button>
        <textarea
          id="message"
          aria-label="Message"
          ref={box}
          rows={1}
          value={draft.text}
          placeholder={running === undefined ? "Ask anything" : "Add to the conversation"}
          onChange={(event) => setDraft({ ...draft, text: event.target.value })}
          onKeyDown={onKey}
          onPaste={onPaste}
        />
        <div className="actions">
          <Actions canSend={canSend} running={running} onInterrupt={() => void send("interrupt")} />
        </div>
      </div>
    </form>
  )
}
