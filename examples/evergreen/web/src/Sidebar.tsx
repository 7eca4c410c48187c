/** The places of the app, and the conversations by day. */
import { Bot, Hand, Inbox, ListTodo, Moon, Plus, Search, Settings, Sun } from "lucide-react"
import { type ReactNode, useDeferredValue, useState } from "react"
import { Link, useLocation } from "wouter"
import type { ListedConversation } from "./api.ts"
import { attempt } from "./attempt.ts"
import { closeDrawer } from "./drawer.ts"
import { toggleTheme } from "./settings.ts"
import * as lists from "./state/lists.ts"
import { useUnseen } from "./state/unseen.ts"
import { dayOf } from "./time.tsx"

type Mark = "need" | "running" | "unseen"

function MarkView({ mark }: { readonly mark: Mark }) {
  const says = { need: "needs you", running: "answering", unseen: "has a new answer" }[mark]
  return (
    <span className="mark" data-mark={mark} title={says}>
      {mark === "need" ? <Hand aria-hidden /> : null}
      <span className="hidden">, {says}</span>
    </span>
  )
}

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

const useMarks = (): ReadonlyMap<string, Mark> => {
  const tasks = lists.useLists((state) => state.tasks)
  const marks = new Map<string, Mark>()
  for (const { conversationId } of useUnseen()) marks.set(conversationId, "unseen")
  for (const task of tasks?.values() ?? []) if (lists.isActive(task)) marks.set(task.conversationId, "running")
  for (const task of tasks?.values() ?? []) if ((task.waiting ?? []).length > 0) marks.set(task.conversationId, "need")
  return marks
}

function Conversations({ list, wanted }: {
  readonly list: ReadonlyArray<ListedConversation>
  readonly wanted: string
}) {
  const [path] = useLocation()
  const marks = useMarks()
  const found = list.filter(({ preview = "", title = "" }) => `${title}\n${preview}`.toLowerCase().includes(wanted))
  if (found.length === 0) {
    return (
      <p className="none">{wanted === "" ? "No conversations yet." : "No conversation begins with these words."}</p>
    )
  }
  const days = Map.groupBy(found, ({ updatedAt }) => dayOf(updatedAt))
  return [...days].map(([day, items]) => (
    <section key={day} aria-label={day}>
      <h2>{day}</h2>
      <ul>
        {items.map((conversation) => {
          const { id } = conversation
          const mark = marks.get(id)
          const href = `/c/${encodeURIComponent(id)}`
          return (
            <li key={id}>
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

export function Sidebar() {
  const conversations = lists.useLists((state) => state.conversations)
  const more = lists.useLists((state) => state.next !== undefined)
  const waiting = lists.useLists(lists.countWaiting)
  const active = lists.useLists(lists.countActive)
  const connected = lists.useLists((state) => state.connected)
  const [search, setSearch] = useState("")
  const wanted = useDeferredValue(search.trim().toLowerCase())
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
      <div className="search">
        <Search aria-hidden />
        <input
          type="search"
          aria-label="Search conversations"
          placeholder="Search"
          value={search}
          onChange={(event) => setSearch(event.target.value)}
        />
        <kbd>/</kbd>
      </div>
      <div className="conversations" tabIndex={0} role="region" aria-label="Conversations">
        {conversations === undefined
          ? (
            <div className="skeleton" role="status" aria-label="Loading">
              <i />
              <i />
              <i />
            </div>
          )
          : <Conversations list={conversations} wanted={wanted} />}
        {more
          ? (
            <button type="button" className="ghost small" onClick={() => attempt(lists.readOlderConversations())}>
              Older conversations
            </button>
          )
          : null}
      </div>
      <div className="foot">
        <Place href="/a" icon={<Bot aria-hidden />}>Agents</Place>
        <Place href="/settings" icon={<Settings aria-hidden />}>Settings</Place>
        {connected ? null : <p className="offline" role="status">Reconnecting. What you see stays.</p>}
      </div>
    </nav>
  )
}
