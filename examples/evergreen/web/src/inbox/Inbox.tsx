/** What waits for the person, across conversations, the oldest first. It is decided here, and the next one is selected. */
import { CircleCheck, Hand } from "lucide-react"
import { type ReactNode, useCallback, useEffect, useState } from "react"
import { Link, useLocation } from "wouter"
import type { WaitingApproval } from "../api.ts"
import { attempt } from "../attempt.ts"
import Approval from "../chat/Approval.tsx"
import { brief } from "../chat/json.ts"
import { Header } from "../Header.tsx"
import { onKeys } from "../keys.ts"
import * as lists from "../state/lists.ts"
import { type UnseenAnswer, useUnseen } from "../state/unseen.ts"
import { Ago } from "../time.tsx"
import "../css/pages.css"

type Item =
  | { readonly kind: "approval"; readonly key: string; readonly approval: WaitingApproval }
  | { readonly kind: "answer"; readonly key: string; readonly answer: UnseenAnswer }

const itemsOf = (
  approvals: ReadonlyArray<WaitingApproval>,
  answers: ReadonlyArray<UnseenAnswer>
): ReadonlyArray<Item> => [
  ...approvals.map((approval): Item => ({
    kind: "approval",
    key: `${approval.taskId} ${approval.toolCallId}`,
    approval
  })),
  ...answers.map((answer): Item => ({ kind: "answer", key: answer.taskId, answer }))
]

const conversationOf = (item: Item): string =>
  item.kind === "approval" ? item.approval.conversationId : item.answer.conversationId

function Entry({ item, onSelect, selected, title }: {
  readonly item: Item
  readonly selected: boolean
  readonly title: string
  readonly onSelect: () => void
}) {
  const approval = item.kind === "approval" ? item.approval : undefined
  return (
    <li>
      <button
        type="button"
        className="entry"
        aria-current={selected || undefined}
        ref={(element) => {
          if (selected) element?.scrollIntoView({ block: "nearest" })
        }}
        onClick={onSelect}
      >
        {approval === undefined ? <CircleCheck className="seen" aria-hidden /> : <Hand className="need" aria-hidden />}
        <span className="what">
          <b>
            {approval === undefined
              ? (item.kind === "answer" && item.answer.status === "error" ? "Failed answer" : "New answer")
              : approval.tool}
          </b>
          <span>{title}</span>
          {approval === undefined ? null : <span className="soft">{brief(approval.args)}</span>}
        </span>
        <Ago at={item.kind === "approval" ? item.approval.askedAt : item.answer.endedAt} />
      </button>
    </li>
  )
}

function Decide({ approval, title }: { readonly approval: WaitingApproval; readonly title: string }) {
  return (
    <section className="decide" aria-label={`Decide about ${approval.tool}`}>
      <h2>
        <Hand aria-hidden /> {approval.tool}
      </h2>
      <p className="soft">
        The agent <b>{approval.agentId}</b> wants to call this tool, and nothing runs until you decide. Conversation:
        {" "}
        <Link href={`/c/${encodeURIComponent(approval.conversationId)}`}>{title}</Link>
      </p>
      <Approval {...approval} onDecided={() => attempt(lists.readApprovals())} />
      <p className="keys">
        <kbd>A</kbd> allow <kbd>D</kbd> deny <kbd>J</kbd> <kbd>K</kbd> next, previous
      </p>
    </section>
  )
}

function Empty(): ReactNode {
  return (
    <div className="empty">
      <CircleCheck aria-hidden />
      <h2>Nothing waits for you.</h2>
      <p>When a tool needs your decision, or an answer comes while you are elsewhere, it is here.</p>
    </div>
  )
}

const press = (decision: "allow" | "deny"): void =>
  document.querySelector<HTMLElement>(`.decide [data-decide="${decision}"]`)?.click()

export default function Inbox() {
  const [, navigate] = useLocation()
  const approvals = lists.useLists((state) => state.approvals)
  const conversations = lists.useLists((state) => state.conversations)
  const answers = useUnseen()
  const [at, setAt] = useState(0)
  const items = itemsOf(approvals ?? [], answers)
  const index = Math.min(at, items.length - 1)
  const item = items[index]
  const titleOf = useCallback(
    (id: string) => {
      const found = conversations?.find((one) => one.id === id)
      return found === undefined ? "a conversation" : lists.nameOf(found)
    },
    [conversations]
  )
  useEffect(() => {
    document.title = "Inbox · Evergreen"
  }, [])
  useEffect(() =>
    onKeys({
      j: () => setAt(Math.min(index + 1, items.length - 1)),
      k: () => setAt(Math.max(index - 1, 0)),
      a: () => press("allow"),
      d: () => press("deny"),
      Enter: () => item !== undefined && navigate(`/c/${encodeURIComponent(conversationOf(item))}`)
    }), [index, items.length, item, navigate])
  const count = approvals?.length ?? 0
  return (
    <main id="main" className="page inbox">
      <Header title="Inbox">
        {count === 0
          ? null
          : <span className="state" data-state="need">{count === 1 ? "1 waits" : `${count} wait`} for you</span>}
      </Header>
      {approvals === undefined
        ? (
          <div className="skeleton" role="status" aria-label="Loading">
            <i />
            <i />
            <i />
          </div>
        )
        : items.length === 0
        ? <Empty />
        : (
          <div className="split">
            <ul className="entries" aria-label="What waits for you">
              {items.map((one, i) => (
                <Entry
                  key={one.key}
                  item={one}
                  selected={i === index}
                  title={titleOf(conversationOf(one))}
                  onSelect={() => setAt(i)}
                />
              ))}
            </ul>
            {item?.kind === "approval"
              ? <Decide key={item.key} approval={item.approval} title={titleOf(item.approval.conversationId)} />
              : item === undefined ?
              null :
              (
                <section className="decide" aria-label="Answer">
                  <h2>{titleOf(item.answer.conversationId)}</h2>
                  <p className="soft">The answer came while you were elsewhere.</p>
                  <Link className="button primary" href={`/c/${encodeURIComponent(item.answer.conversationId)}`}>
                    Read it
                  </Link>
                </section>
              )}
          </div>
        )}
    </main>
  )
}
