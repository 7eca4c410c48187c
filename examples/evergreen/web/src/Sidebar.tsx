/** The places of the app, and the conversations by day. */
import { Bot, Inbox, ListTodo, Moon, Plus, Server, Settings, Sun } from "lucide-react"
import { type ReactNode, Suspense, useState } from "react"
import { Link, useLocation } from "wouter"
import type { ListedConversation } from "./api.ts"
import { attempt } from "./attempt.ts"
import { closeDrawer } from "./drawer.ts"
import { later } from "./later.ts"
import { MarkView, useMarks } from "./Mark.tsx"
import { useOperator } from "./operator/me.ts"
import { SearchBox } from "./search/SearchBox.tsx"
import { useSearch } from "./search/useSearch.ts"
import { toggleTheme } from "./settings.ts"
import * as lists from "./state/lists.ts"
import { dayOf, useNow } from "./time.tsx"

const Results = later(() => import("./search/Results.tsx"))

function Place({ children, count, href, icon, urgent = false }: {
  readonly href: string
  readonly icon: ReactNode
  readonly children: string
  readonly count?: string | undefined
  readonly urgent?: boolean
}) {
  const [path] = useLocation()
  const here = path === href || path.startsWith(`${href}/`)
  return (
    <Link href={href} onClick={closeDrawer} aria-current={here ? "page" : undefined}>
      {icon} {children}
      {count === undefined ? null : <span className={urgent ? "badge" : "count"}>{count}</span>}
    </Link>
  )
}

function Conversations({ list }: { readonly list: ReadonlyArray<ListedConversation> }) {
  const [path] = useLocation()
  const marks = useMarks()
  // At midnight, what was of today is of yesterday.
  useNow(60_000)
  if (list.length === 0) return <p className="none">No conversations yet.</p>
  const days = Map.groupBy(list, ({ updatedAt }) => dayOf(updatedAt))
  return [...days].map(([day, items]) => (
    <section key={day} aria-label={day}>
      <h2>{day}</h2>
      <ul>
        {items.map((conversation) => {
          const mark = marks.get(conversation.id)
          const href = lists.hrefOf(conversation)
          return (
            <li key={conversation.id}>
              <Link href={href} onClick={closeDrawer} aria-current={path === href ? "page" : undefined}>
                <span className="title">{lists.nameOf(conversation)}</span>
                {mark === undefined ? null : <MarkView mark={mark} />}
              </Link>
            </li>
          )
        })}
      </ul>
    </section>
  ))
}

function AllConversations() {
  const conversations = lists.useLists((state) => state.conversations)
  const more = lists.useLists((state) => state.next !== undefined)
  return (
    <>
      {conversations === undefined
        ? (
          <div className="skeleton" role="status" aria-label="Loading">
            <i />
            <i />
            <i />
          </div>
        )
        : <Conversations list={conversations} />}
      {more
        ? (
          <button type="button" className="ghost small" onClick={() => attempt(lists.readOlderConversations())}>
            Older conversations
          </button>
        )
        : null}
    </>
  )
}

export function Sidebar() {
  const waiting = lists.useLists(lists.countWaiting)
  const active = lists.useLists(lists.countActive)
  const connected = lists.useLists((state) => state.connected)
  const operator = useOperator()
  const [, navigate] = useLocation()
  const [text, setText] = useState("")
  const [selected, setSelected] = useState(0)
  const wanted = text.trim()
  const search = useSearch(wanted)
  const found = search.found?.items ?? []
  const end = (): void => {
    setText("")
    setSelected(0)
  }
  const openSelected = (): void => {
    const conversation = found[selected]
    if (conversation === undefined) return
    end()
    closeDrawer()
    navigate(lists.hrefOf(conversation))
  }
  return (
    <nav className="sidebar" aria-label="Evergreen">
      <div className="brand">
        <img src="/icon.svg" alt="" width={20} height={20} /> Evergreen<span className="grow" />
        <button type="button" className="ghost" aria-label="Light or dark" onClick={toggleTheme}>
          <Sun className="if-dark" aria-hidden />
          <Moon className="if-light" aria-hidden />
        </button>
      </div>
      <Link href="/" className="new" onClick={closeDrawer}>
        <Plus aria-hidden /> New conversation <kbd>N</kbd>
      </Link>
      <Place href="/inbox" icon={<Inbox aria-hidden />} count={waiting > 0 ? String(waiting) : undefined} urgent>
        Inbox
      </Place>
      <Place href="/t" icon={<ListTodo aria-hidden />} count={active > 0 ? `${active} active` : undefined}>Tasks</Place>
      <SearchBox
        text={text}
        onChange={(now) => {
          setText(now)
          setSelected(0)
        }}
        onChoose={(by) => setSelected((now) => Math.max(0, Math.min(found.length - 1, now + by)))}
        onOpen={openSelected}
      />
      <div className="conversations" tabIndex={0} role="region" aria-label="Conversations">
        {wanted === "" ? <AllConversations /> : (
          <Suspense>
            <Results search={search} selected={selected} />
          </Suspense>
        )}
      </div>
      <div className="foot">
        <Place href="/a" icon={<Bot aria-hidden />}>Agents</Place>
        {operator ? <Place href="/r" icon={<Server aria-hidden />}>Runners</Place> : null}
        <Place href="/settings" icon={<Settings aria-hidden />}>Settings</Place>
        {connected ? null : <p className="offline" role="status">Reconnecting. What you see stays.</p>}
      </div>
    </nav>
  )
}
