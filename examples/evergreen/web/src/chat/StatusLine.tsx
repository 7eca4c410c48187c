/** What a task does now, in one quiet line. */
import { CircleAlert, CircleSlash, Clock, Hand } from "lucide-react"
import { type ReactNode, Suspense } from "react"
import * as api from "../api.ts"
import { attempt } from "../attempt.ts"
import { later } from "../later.ts"
import type { Live } from "../state/live.ts"
import { duration, Elapsed } from "../time.tsx"

const Retry = later(() => import("./Retry.tsx"))

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

const losses: Readonly<Record<string, string>> = {
  crash: "The process that answered has crashed.",
  handover: "The process that answered has handed the task over.",
  storeFailure: "The process that answered could not reach its store."
}

const resumedTitle = ({ resumed }: Live["view"]): string => {
  const why = losses[resumed?.reason ?? ""] ?? "The process that answered was replaced."
  const gap = resumed?.gapMillis === undefined ? "" : ` Nobody wrote for ${duration(resumed.gapMillis)}.`
  return `${why}${gap} The task went on by itself.`
}

function Running({ live }: { readonly live: Live }) {
  return (
    <p className="status">
      <Dots /> {doing(live)} <Elapsed from={live.startedAt} />
      {live.attempt > 1
        ? <span className="chip" title={resumedTitle(live.view)}>resumed · attempt {live.attempt}</span>
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
      if (live.task.startedAt === undefined && live.attempt === 0) {
        return (
          <p className="status">
            <CircleSlash aria-hidden /> Removed. It was not answered.
          </p>
        )
      }
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
      <p className="status">
        <Dots /> Reconnecting. Nothing is lost.
      </p>
    )
  }
  if (view.retry !== undefined) {
    return (
      <Suspense>
        <Retry at={live.retriesAt} reason={view.retry.reason} tryNumber={view.retry.tryNumber} />
      </Suspense>
    )
  }
  if (view.toolCalls.some((call) => call.status === "waiting")) {
    return (
      <p className="status need">
        <Hand aria-hidden /> Waits for you. Nothing runs meanwhile.
        {live.task.waitingSince === undefined ? null : <Elapsed from={Date.parse(live.task.waitingSince)} />}
      </p>
    )
  }
  return <Running live={live} />
}
