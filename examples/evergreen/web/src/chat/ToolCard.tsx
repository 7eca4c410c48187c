/** A tool call: one line, and its arguments, decision and result when it is opened. */
import type { ToolCallView } from "@perennial/domain/TaskView"
import { ChevronRight, CircleAlert, CircleCheck, CircleSlash, Clock, Hand, LoaderCircle } from "lucide-react"
import { type ReactNode, Suspense } from "react"
import { Link } from "wouter"
import { later } from "../later.ts"
import { brief, pretty } from "./json.ts"

const Approval = later(() => import("./Approval.tsx"))

const states: Record<ToolCallView["status"], readonly [string, ReactNode]> = {
  requested: ["Asked for", <Clock key="i" />],
  waiting: ["Needs you", <Hand key="i" />],
  executing: ["Running", <LoaderCircle key="i" className="spin" />],
  completed: ["Done", <CircleCheck key="i" />],
  error: ["Failed", <CircleAlert key="i" />],
  interrupted: ["Outcome unknown", <CircleSlash key="i" />]
}

const progressText = (value: unknown): string =>
  typeof value === "object" && value !== null && "secondsLeft" in value
    ? `${String(value.secondsLeft)} s left`
    : brief(value)

function Detail({ title, value }: { readonly title: string; readonly value: unknown }) {
  return (
    <>
      <dt>{title}</dt>
      <dd>
        <pre tabIndex={0} role="group" aria-label={title}>{pretty(value)}</pre>
      </dd>
    </>
  )
}

function Details({ call: { args, decision, result } }: { readonly call: ToolCallView }) {
  return (
    <dl>
      <Detail title="Arguments" value={args} />
      {decision?.args === undefined ? null : <Detail title="Arguments, as they were allowed" value={decision.args} />}
      {decision === undefined ? null : (
        <>
          <dt>Decision</dt>
          <dd>
            {decision.approved ? "Allowed" : "Denied"}
            {decision.reason === undefined ? "" : `: ${decision.reason}`}
          </dd>
        </>
      )}
      {result === undefined ? null : <Detail title="Result" value={result} />}
    </dl>
  )
}

export function ToolCard({ call, taskId }: { readonly call: ToolCallView; readonly taskId: string }) {
  const [stateName, icon] = states[call.status]
  const waiting = call.status === "waiting"
  const denied = call.decision?.approved === false
  const label = denied ? "Denied" : stateName
  const runs = call.status === "executing" && call.progress !== undefined
  return (
    <section className="tool" data-status={denied ? "error" : call.status} aria-label={`Tool ${call.tool}, ${label}`}>
      <details open={waiting || undefined}>
        <summary>
          <span className="tool-icon" aria-hidden>{icon}</span>
          <span className="tool-name">{call.tool}</span>
          <span className="tool-args">{brief(call.args)}</span>
          <span className="tool-state">{runs ? progressText(call.progress) : label}</span>
          <ChevronRight className="chevron" aria-hidden />
        </summary>
        {waiting
          ? (
            <Suspense>
              <Approval taskId={taskId} toolCallId={call.toolCallId} tool={call.tool} args={call.args} />
            </Suspense>
          )
          : <Details call={call} />}
        {call.childTaskId === undefined
          ? null
          : (
            <Link className="button quiet small" href={`/t/${encodeURIComponent(call.childTaskId)}`}>
              Its own task
            </Link>
          )}
      </details>
    </section>
  )
}
