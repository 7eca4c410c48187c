/** A conversation: its title and state, its rows, and where one writes. */
import { Suspense, useCallback, useEffect, useMemo } from "react"
import { Link, useLocation } from "wouter"
import { attempt } from "../attempt.ts"
import { Header } from "../Header.tsx"
import { onKeys } from "../keys.ts"
import { later } from "../later.ts"
import * as conversation from "../state/conversation.ts"
import { useLists } from "../state/lists.ts"
import { isGoing, type Live } from "../state/live.ts"
import { shownRows } from "../state/versions.ts"
import { Composer } from "./Composer.tsx"
import { moveDraft, newConversation, useDraft } from "./draft.ts"
import { Messages } from "./Messages.tsx"
import { Welcome } from "./Welcome.tsx"

const ConversationActions = later(() => import("./ConversationActions.tsx"))

type State = readonly ["lost" | "need" | "running", string]

const stateOf = (active: ReadonlyArray<Live>, connected: boolean): State | undefined => {
  if (!connected) return ["lost", "Reconnecting"]
  if (active.some(({ view }) => view.toolCalls.some((call) => call.status === "waiting"))) return ["need", "Needs you"]
  if (active.length === 0) return undefined
  return ["running", active.length > 1 ? `Answering, ${active.length - 1} queued` : "Answering"]
}

/** What a screen reader says: whole sentences about changes, and never the text while it is written. */
const announcement = (state: State | undefined, live: ReadonlyArray<Live>): string => {
  if (state !== undefined) return state[1]
  const last = live.at(-1)?.view.status
  if (last === "completed") return "The answer is complete."
  return last === "error" ? "The answer failed." : ""
}

function Failed({ id, missing }: { readonly id: string; readonly missing: boolean }) {
  return (
    <div className="messages">
      <div className="empty">
        <h2>{missing ? "There is no such conversation." : "The conversation cannot be read now."}</h2>
        <p>
          {missing ? "It was deleted, or it is somebody else's." : "The server does not answer."} {missing
            ? <Link href="/">New conversation</Link>
            : <button type="button" className="quiet" onClick={() => conversation.reload(id)}>Try again</button>}
        </p>
      </div>
    </div>
  )
}

function Loading() {
  return (
    <div className="messages">
      <div className="skeleton" role="status" aria-label="Loading">
        <i />
        <i />
        <i />
      </div>
    </div>
  )
}

export function Chat({ id, isNew }: { readonly id: string; readonly isNew: boolean }) {
  const [, navigate] = useLocation()
  const open = conversation.useOpen(id)
  const listed = useLists(({ conversations }) => conversations?.find((one) => one.id === id)?.title)
  const connected = useLists((lists) => lists.connected)
  const [draft, setDraft] = useDraft(isNew ? newConversation : id)
  useEffect(() => {
    if (isNew) conversation.fresh(id)
    else conversation.open(id)
  }, [id, isNew])
  const rows = useMemo(() => open === undefined ? [] : shownRows(open), [open])
  const active = useMemo(() => open?.live.filter(isGoing) ?? [], [open])
  const onEdit = useCallback((replaces: string, text: string) => setDraft({ text, files: [], replaces }), [setDraft])
  const onVersion = useCallback((of: string, shown: string) => conversation.showVersion(id, of, shown), [id])
  const hasOlder = open?.older !== undefined
  const onOlder = useMemo(() => hasOlder ? () => conversation.readOlder(id) : undefined, [id, hasOlder])
  const onDrop = useCallback((messageId: string) => conversation.dropOlder(id, messageId), [id])
  const onAgain = useCallback(() => attempt(conversation.regenerate(id)), [id])
  useEffect(() => {
    const lastAsked = rows.findLast((row) => row.kind === "user" && row.id !== undefined)
    return onKeys({
      e: () => lastAsked?.kind === "user" && lastAsked.id !== undefined && onEdit(lastAsked.id, lastAsked.text),
      r: () => active.length === 0 && rows.length > 0 && onAgain()
    })
  }, [rows, active, onEdit, onAgain])

  const first = rows.find((row) => row.kind === "user")?.text.slice(0, 80)
  const title = listed ?? first ?? (isNew ? "New conversation" : "Conversation")
  const state = stateOf(active, connected)
  useEffect(() => {
    const mark = { need: "● ", running: "… ", lost: "" }[state?.[0] ?? "lost"]
    document.title = `${mark}${isNew && rows.length === 0 ? "Evergreen" : title}`
  }, [title, state, isNew, rows.length])
  return (
    <main id="main" className="chat">
      <Header title={title}>
        {isNew || open?.state !== "ready" ? null : (
          <Suspense>
            <ConversationActions id={id} title={title} />
          </Suspense>
        )}
        {state === undefined ? null : <span className="state" data-state={state[0]}>{state[1]}</span>}
      </Header>
      <span className="hidden" role="status">{announcement(state, open?.live ?? [])}</span>
      {open === undefined || open.state === "loading" ? <Loading /> : null}
      {open?.state === "missing" || open?.state === "failed"
        ? <Failed id={id} missing={open.state === "missing"} />
        : null}
      {open?.state === "ready" && rows.length === 0
        ? <Welcome onChoose={(text) => setDraft({ ...draft, text })} />
        : null}
      {open?.state === "ready" && rows.length > 0
        ? (
          <Messages
            rows={rows}
            connected={connected}
            onEdit={onEdit}
            onAgain={onAgain}
            onVersion={onVersion}
            onOlder={onOlder}
            onDrop={onDrop}
          />
        )
        : null}
      {open?.state === "missing" ? null : (
        <div className="dock">
          <Composer
            id={id}
            active={active}
            draft={draft}
            setDraft={setDraft}
            onSent={() => {
              if (!isNew || !conversation.isOpen(id)) return
              moveDraft(id)
              navigate(`/c/${id}`, { replace: true })
            }}
          />
        </div>
      )}
    </main>
  )
}
