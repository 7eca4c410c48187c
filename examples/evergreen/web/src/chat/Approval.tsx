/** Decides about a tool call: allow, allow with other arguments, or deny, with a reason for the agent. */
import { Check, Pencil, X } from "lucide-react"
import { useState } from "react"
import * as api from "../api.ts"
import { pretty } from "./json.ts"

const saysDecided = (error: unknown): boolean => error instanceof api.Problem && error.type === "already-decided"

/** Parsed arguments, or what is wrong with them. */
const parse = (text: string): { readonly args?: never; readonly problem?: string } => {
  try {
    return { args: JSON.parse(text) as never }
  } catch (error) {
    return { problem: `These arguments are not JSON: ${(error as Error).message}` }
  }
}

export default function Approval({ args: asked, onDecided, taskId, tool, toolCallId }: {
  readonly taskId: string
  readonly toolCallId: string
  readonly tool: string
  readonly args: unknown
  readonly onDecided?: (() => void) | undefined
}) {
  const [edited, setEdited] = useState<string>()
  const [reason, setReason] = useState("")
  const [problem, setProblem] = useState<string>()
  const [sent, setSent] = useState(false)
  const decide = async (approved: boolean): Promise<void> => {
    const changed = approved && edited !== undefined ? parse(edited) : {}
    if (changed.problem !== undefined) return setProblem(changed.problem)
    setSent(true)
    try {
      await api.decide(taskId, toolCallId, { approved, ...changed, ...reason === "" ? {} : { reason } })
      onDecided?.()
    } catch (error) {
      setSent(false)
      setProblem(saysDecided(error) ? "Somebody else has already decided." : (error as Error).message)
      if (saysDecided(error)) onDecided?.()
    }
  }
  return (
    <form
      className="approval"
      aria-label={`Decide about ${tool}`}
      onSubmit={(event) => {
        event.preventDefault()
        void decide(true)
      }}
    >
      {edited === undefined
        ? <pre tabIndex={0} role="group" aria-label="Arguments">{pretty(asked)}</pre>
        : (
          <textarea
            className="mono"
            aria-label="Arguments, JSON"
            value={edited}
            rows={4}
            autoFocus
            spellCheck={false}
            onChange={(event) => setEdited(event.target.value)}
          />
        )}
      <input
        value={reason}
        maxLength={1000}
        onChange={(event) => setReason(event.target.value)}
        placeholder="Reason, told to the agent (optional)"
        aria-label="Reason"
      />
      <div className="buttons">
        <button className="primary" disabled={sent} data-decide="allow">
          <Check aria-hidden /> Allow{edited === undefined ? "" : " with changes"}
        </button>
        <button type="button" className="quiet" disabled={sent} data-decide="deny" onClick={() => void decide(false)}>
          <X aria-hidden /> Deny
        </button>
        <span className="grow" />
        {edited === undefined
          ? (
            <button type="button" className="ghost" onClick={() => setEdited(pretty(asked))}>
              <Pencil aria-hidden /> Edit
            </button>
          )
          : <button type="button" className="ghost" onClick={() => setEdited(undefined)}>Undo</button>}
      </div>
      {problem === undefined ? null : <p role="alert" className="danger">{problem}</p>}
    </form>
  )
}
