/** The processes that execute tasks, and what each of them runs. For operators. */
import { useCallback, useEffect } from "react"
import { Link } from "wouter"
import { Header } from "../Header.tsx"
import { Took } from "../tasks/Took.tsx"
import { Ago, since, useNow } from "../time.tsx"
import { hostOf } from "./host.ts"
import { useMe } from "./me.ts"
import * as records from "./records.ts"
import { usePolled } from "./usePolled.ts"
import "../css/pages.css"
import "../css/operator.css"

const every = 3_000
/** How many tasks of a runner are shown. */
const shown = 10

function Tasks({ runner }: { readonly runner: records.Runner }) {
  const { id, running } = runner
  const read = useCallback(() => records.records({ runner: id, order: "oldest", limit: shown }), [id])
  const { value } = usePolled(read, every)
  if (value === undefined || value.items.length === 0) return <p className="soft">It runs nothing now.</p>
  return (
    <>
      <ul className="owned" aria-label={`Tasks of ${hostOf(id)}`}>
        {value.items.map((record) => (
          <li key={record.id} title={record.id}>
            <span
              className="task-state"
              data-state={record.waitingSince === undefined ? record.status : "needs a person"}
            >
              {record.waitingSince === undefined ? record.status : "needs a person"}
            </span>
            <span>{record.userId}</span>
            <span className="mono soft">…{record.id.slice(-8)}</span>
            <span className="soft">{record.agentId}</span>
            <span className="number">
              <Took task={record} />
            </span>
          </li>
        ))}
      </ul>
      {value.next === undefined
        ? null
        : <Link href={`/t?who=everybody&runner=${encodeURIComponent(id)}`}>All {running} tasks</Link>}
    </>
  )
}

/** How much of its capacity a process uses. Tasks that wait for a person take no place. */
function Load({ capacity, running, waiting }: records.Runner) {
  const working = Math.max(0, running - waiting)
  if (capacity === undefined) return <span>{running} running</span>
  return (
    <span className="load">
      <meter min={0} max={Math.max(1, capacity)} value={working} aria-label="Working tasks of its capacity" />
      {working} of {capacity.toLocaleString()} places
    </span>
  )
}

function RunnerCard({ runner }: { readonly runner: records.Runner }) {
  const now = useNow(1_000)
  const { agents, id, renewedAt, running, since: begun, version, waiting } = runner
  const age = renewedAt === undefined ? undefined : Math.max(0, now - Date.parse(renewedAt))
  return (
    <section className="agent runner" aria-label={hostOf(id)}>
      <div className="agent-head">
        <h2 title={id}>{hostOf(id)}</h2>
        {version === undefined ? null : <span className="chip">{version}</span>}
        <span className="soft">
          {begun === undefined ? null : (
            <>
              since <Ago at={begun} />
            </>
          )}
          {age === undefined ? null : ` · heard ${age < 60_000 ? `${Math.round(age / 1_000)} s ago` : since(age)}`}
        </span>
        <span className="grow" />
        {waiting === 0
          ? null
          : <span className="state" data-state="need">{waiting} {waiting === 1 ? "waits" : "wait"} for a person</span>}
        <Load {...runner} />
        <Link className="button quiet small" href={`/t?who=everybody&runner=${encodeURIComponent(id)}`}>Tasks</Link>
      </div>
      <div className="runs">
        {agents === undefined || agents.length === 0
          ? null
          : <p className="soft">{agents.length === 1 ? "Agent" : "Agents"}: {agents.join(", ")}</p>}
        {running === 0 ? <p className="soft">It runs nothing now.</p> : <Tasks runner={runner} />}
      </div>
    </section>
  )
}

const loading = (
  <div className="skeleton" role="status" aria-label="Loading">
    <i />
    <i />
    <i />
  </div>
)

function AllRunners() {
  const { failed, value } = usePolled(records.runners, every)
  const count = value?.items.length
  return (
    <>
      <Header title="Runners">
        {count === undefined
          ? null
          : <span className="soft">{count === 1 ? "1 process" : `${count} processes`}</span>}
      </Header>
      <div className="column wide">
        {failed ? <p className="none" role="status">The server does not answer. It is asked again.</p> : null}
        {value === undefined && !failed ? loading : null}
        {value?.items.map((runner) => <RunnerCard key={runner.id} runner={runner} />)}
        {count === 0 ? <p className="none">No process executes tasks now. Accepted tasks wait.</p> : null}
      </div>
    </>
  )
}

export default function Runners() {
  const me = useMe()
  useEffect(() => {
    document.title = "Runners · Evergreen"
  }, [])
  return (
    <main id="main" className="page runners">
      {me?.roles.includes("operator") === true
        ? <AllRunners />
        : (
          <>
            <Header title="Runners" />
            <div className="column wide">
              {me === undefined
                ? loading
                : <p className="none">Only operators see which processes execute tasks.</p>}
            </div>
          </>
        )}
    </main>
  )
}
