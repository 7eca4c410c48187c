/** What a task does now, in one quiet line. */
import { CircleAlert, CircleSlash, Clock, Hand, RotateCcw } from "lucide-react"
import type { ReactNode } from "react"
import * as api from "../api.ts"
import { attempt } from "../attempt.ts"
import type { Live } from "../state/live.ts"
import { Elapsed } from "../time.tsx"

function Dots() {
  return (
    <span className="dots" aria-hidden>
      <i />
      <i />
      <i />
    </span>
  )
}

const doing = ({ view }: Live): string => {
  if (view.text !== "") return "Writing"
  if (view.reasoning !== "") return "Thinking"
  return view.toolCalls.some((call) => call.status === "executing") ? "Using a tool" : "Working"
}

function Running({ live }: { readonly live: Live }) {
  return (
    <p className="status">
      <Dots /> {doing(live)} <Elapsed from={live.startedAt} />
      {live.attempt > 1
        ? (
          <span className="chip" title="The process that answered was replaced. The task went on by itself.">
            resumed · attempt {live.attempt}
          </span>
        )
        : null}
    </p>
  )
}

export function StatusLine({ connected, last, live, onAgain }: {
  readonly live: Live
  readonly connected: boolean
  /** This task is the last of the conversation. */
  readonly last: boolean
  readonly onAgain: () => void
}): ReactNode {
  const { view } = live
  switch (view.status) {
    case "error":
      return (
        <div className="status danger" role="alert">
          <CircleAlert aria-hidden />
          <span className="grow">
            <b>It failed.</b> {view.error?.detail}
          </span>
          {last
            ? <button type="button" className="quiet small" onClick={onAgain}>Again</button>
            : null}
        </div>
      )
    case "cancelled":
      return (
        <p className="status">
          <CircleSlash aria-hidden /> Stopped. What was said so far is kept.
          {last ? <button type="button" className="ghost small" onClick={onAgain}>Again</button> : null}
        </p>
      )
    case "queued":
      return (
        <p className="status">
          <Clock aria-hidden /> Waits for the answer before it
          <button type="button" className="ghost small" onClick={() => attempt(api.cancel(live.task.id))}>
            Remove
          </button>
        </p>
      )
    default:
  }
  if (!connected) {
    return (
      <p className="status warn">
        <Dots /> Reconnecting. Nothing is lost.
      </p>
    )
  }
  if (view.retry !== undefined) {
    return (
      <p className="status warn">
        <RotateCcw aria-hidden /> {view.retry.reason} Try {view.retry.tryNumber} in{" "}
        {Math.ceil(view.retry.delayMillis / 1_000)} s.
      </p>
    )
  }
  if (view.toolCalls.some((call) => call.status === "waiting")) {
    return (
      <p className="status need">
        <Hand aria-hidden /> Waits for you. Nothing runs meanwhile.
      </p>
    )
  }
  return <Running live={live} />
}
