/** The tasks of the person, or of everybody for operators. Whose they are, and the filters, are in the address. */
import { useCallback, useEffect } from "react"
import { Link, useLocation, useSearch } from "wouter"
import { Header } from "../Header.tsx"
import { Everybody } from "../operator/Everybody.tsx"
import { useOperator } from "../operator/me.ts"
import * as records from "../operator/records.ts"
import { ThroughputChart } from "../operator/ThroughputChart.tsx"
import { usePolled } from "../operator/usePolled.ts"
import * as lists from "../state/lists.ts"
import { Mine } from "./Mine.tsx"
import "../css/pages.css"
import "../css/operator.css"

const every = 5_000

function Throughput({ of }: { readonly of: "mine" | "everybody" }) {
  const { value } = usePolled(useCallback(() => records.throughput(of), [of]), every)
  return value === undefined ? <div className="throughput" aria-hidden /> : <ThroughputChart throughput={value} />
}

export default function Tasks() {
  const [, navigate] = useLocation()
  const search = useSearch()
  const operator = useOperator()
  const active = lists.useLists(lists.countActive)
  const everybody = operator && new URLSearchParams(search).get("who") === "everybody"
  useEffect(() => {
    document.title = "Tasks · Evergreen"
  }, [])
  const change = (wanted: string): void => navigate(wanted === "" ? "/t" : `/t?${wanted}`)
  return (
    <main id="main" className="page tasks">
      <Header title="Tasks">
        {operator
          ? (
            <nav className="who" aria-label="Whose tasks">
              <Link href="/t" aria-current={everybody ? undefined : "true"}>Mine</Link>
              <Link href="/t?who=everybody" aria-current={everybody ? "true" : undefined}>Everybody</Link>
            </nav>
          )
          : null}
        {active === 0 || everybody ? null : <span className="state" data-state="running">{active} active</span>}
      </Header>
      <Throughput key={String(everybody)} of={everybody ? "everybody" : "mine"} />
      {everybody
        ? <Everybody key={search} search={search} onChange={change} />
        : <Mine search={search} onChange={change} />}
    </main>
  )
}
