/**
 * The settings of the engine: this process alone, or a cluster of processes (docs/scaling.md).
 */
import type * as StoreSetting from "@perennial/backends/StoreSetting"
import { Effect, Option } from "effect"
import { InvalidSetting, read, withDefault } from "./Setting.ts"

export type EngineConfig =
  | { readonly type: "local" }
  | {
    readonly type: "cluster"
    /** Absent in a process that executes nothing. */
    readonly address: Option.Option<Address>
    readonly listen: Option.Option<Address>
    readonly health: "ping" | "kubernetes"
    /** Which pods are runners. */
    readonly labels: Option.Option<string>
  }

interface Address {
  readonly host: string
  readonly port: number
}

const engine = read("PERENNIAL_ENGINE", {
  accepted: "local, cluster",
  parse: (value): Option.Option<"local" | "cluster"> =>
    value === "local" || value === "cluster" ? Option.some(value) : Option.none()
})

// The system gives ports from 32768 on to outgoing connections.
const parseAddress = (value: string): Option.Option<Address> => {
  const [, host = "", digits = ""] = /^([\w.-]{1,253}|\[[\da-fA-F:.]+\]):(\d{4,5})$/.exec(value) ?? []
  const port = Number(digits)
  return host !== "" && port >= 1024 && port <= 32_767
    ? Option.some({ host: host.replace(/^\[|\]$/g, ""), port })
    : Option.none()
}

const accepted = "<host>:<port> with a port from 1024 to 32767, such as 10.0.0.7:24431"

const address = read("PERENNIAL_RUNNER_ADDRESS", { accepted, parse: parseAddress })

const listen = read("PERENNIAL_RUNNER_LISTEN", { accepted, parse: parseAddress })

const health = read("PERENNIAL_RUNNER_HEALTH", {
  accepted: "ping, kubernetes",
  parse: (value): Option.Option<"ping" | "kubernetes"> =>
    value === "ping" || value === "kubernetes" ? Option.some(value) : Option.none()
})

const labels = read("PERENNIAL_RUNNER_LABELS", {
  accepted: "a label selector of Kubernetes, such as app=perennial",
  parse: Option.liftPredicate((value) => /^[\w./=!,() -]{1,500}$/.test(value))
})

const needs = (what: string) => new InvalidSetting({ message: `PERENNIAL_ENGINE=cluster needs ${what}.` })

export const load = (options: { readonly store: StoreSetting.StoreSetting; readonly execute: boolean }) =>
  Effect.gen(function*(): Effect.fn.Return<EngineConfig, InvalidSetting> {
    if ((yield* withDefault(engine, "local")) === "local") return { type: "local" }
    if (options.store.type !== "postgres") {
      return yield* needs("PERENNIAL_STORE=postgres://<user>:<password>@<host>/<database>")
    }
    const config = {
      address: yield* address,
      listen: yield* listen,
      health: yield* withDefault(health, "ping"),
      labels: yield* labels
    }
    if (options.execute && Option.isNone(config.address)) {
      return yield* needs(
        "PERENNIAL_RUNNER_ADDRESS, the <host>:<port> by which other processes reach this one, or PERENNIAL_EXECUTE=false"
      )
    }
    return { type: "cluster", ...config }
  })
