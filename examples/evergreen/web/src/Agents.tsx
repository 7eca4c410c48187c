/** The agents of the server: their models, their tools, and what they do now. */
import { Hand, RefreshCw } from "lucide-react"
import { useEffect, useState } from "react"
import { Link } from "wouter"
import * as api from "./api.ts"
import { Header } from "./Header.tsx"
import * as lists from "./state/lists.ts"
import "./css/pages.css"

type Tool = api.Agent["tools"][number]

const approvals: Record<Tool["approval"], string> = {
  always: "asks a person",
  sometimes: "sometimes asks a person",
  never: ""
}

function ToolRow({ tool: { approval, description, name, safeToRepeat } }: { readonly tool: Tool }) {
  return (
    <li>
      <span className="tool-name">{name}</span>
      <span className="soft">{description}</span>
      <span className="traits">
        {approval === "never"
          ? null
          : (
            <span className="badge">
              <Hand aria-hidden /> {approvals[approval]}
            </span>
          )}
        {safeToRepeat
          ? (
            <span className="chip" title="After a crash the call runs again by itself.">
              <RefreshCw aria-hidden /> safe to repeat
            </span>
          )
          : null}
      </span>
    </li>
  )
}

function AgentCard({ agent, standard }: { readonly agent: api.Agent; readonly standard: boolean }) {
  const tasks = lists.useLists((state) => state.tasks)
  const own = [...tasks?.values() ?? []].filter(({ agentId }) => agentId === agent.id)
  const active = own.filter(lists.isActive).length
  const waiting = own.filter((task) => (task.waiting ?? []).length > 0).length
  return (
    <section className="agent" aria-label={agent.id}>
      <div className="agent-head">
        <h2>{agent.id}</h2>
        {standard ? <span className="chip">default</span> : null}
        <span className="soft">{agent.model}</span>
        <span className="grow" />
        {waiting === 0
          ? null
          : <span className="state" data-state="need">{waiting} {waiting === 1 ? "needs" : "need"} you</span>}
        {active === 0 ? null : <span className="state" data-state="running">{active} active</span>}
        <Link className="button quiet small" href={`/t?agentId=${encodeURIComponent(agent.id)}`}>Tasks</Link>
      </div>
      {agent.tools.length === 0
        ? <p className="soft">This agent has no tools.</p>
        : (
          <ul aria-label="Tools">
            {agent.tools.map((tool) => <ToolRow key={tool.name} tool={tool} />)}
          </ul>
        )}
    </section>
  )
}

export default function Agents() {
  const [agents, setAgents] = useState<ReadonlyArray<api.Agent>>()
  const [failed, setFailed] = useState(false)
  const connected = lists.useLists((state) => state.connected)
  useEffect(() => {
    document.title = "Agents · Evergreen"
  }, [])
  useEffect(() => {
    api.agents().then(({ items }) => setAgents(items), () => setFailed(true))
  }, [connected])
  return (
    <main id="main" className="page agents">
      <Header title="Agents" />
      <div className="column wide">
        {agents === undefined
          ? failed
            ? <p className="none">The agents cannot be read now. They are read again when the server answers.</p>
            : (
              <div className="skeleton" role="status" aria-label="Loading">
                <i />
                <i />
                <i />
              </div>
            )
          : agents.map((agent, i) => <AgentCard key={agent.id} agent={agent} standard={i === 0} />)}
      </div>
    </main>
  )
}
