/**
 * What the clients of a fault run saw, what its processes did, and what the store holds in the end: the checker's input.
 */
import type { StoredMessage } from "@perennial/domain/Conversation"
import type { Task } from "@perennial/domain/Task"
import type { StoredEvent, Terminal } from "@perennial/domain/TaskEvent"
import type { Entry } from "./ledger.ts"
import type { Plan } from "./plan.ts"
import type { ProxyCounts } from "./proxy.ts"
import type { Outage } from "./store.ts"
import type { Death, Life } from "./world.ts"

/** A task that a client was told is accepted. */
export interface Accepted {
  readonly taskId: string
  /** How it may end. */
  readonly ends: ReadonlyArray<Terminal["type"]>
  /** Nothing happened to its owner. */
  readonly undisturbed: boolean
  /** What it was to do. */
  readonly plan: Pick<Plan, "words" | "drip" | "steps" | "fatal">
}

/** A client was told that a task is cancelled, or will be. */
export interface Cancel {
  readonly taskId: string
  /** Milliseconds since 1970. */
  readonly at: number
}

/** An event as a reader got it; `data` is canonical JSON. */
export interface Seen {
  readonly id: number
  readonly data: string
}

/** Everything that one reader got, over all its connections. */
export interface Reading {
  readonly reader: string
  readonly taskId: string
  /** The cursor it began with. */
  readonly after: number
  readonly seen: Array<Seen>
  connections: number
  /** Whether it was told that there is nothing more. */
  ended: boolean
  /** When it did not read on purpose, though it was connected; until it read again. */
  readonly stalled?: { readonly from: number; until: number }
}

/** What a program showed of a task in the end, through a face of the servers. */
export interface FaceReading {
  readonly reader: string
  readonly taskId: string
  connections: number
  /** What it got twice or too early, and requests that were refused. */
  readonly problems: Array<string>
  /** The text of the agent; undefined if the program was not told of the end. */
  shown: string | undefined
}

/** A task as the store has it. */
export interface Kept {
  readonly task: Pick<Task, "id" | "conversationId" | "status" | "parent">
  readonly log: ReadonlyArray<StoredEvent>
}

export interface Observed {
  readonly accepted: ReadonlyArray<Accepted>
  readonly cancels: ReadonlyArray<Cancel>
  readonly readings: ReadonlyArray<Reading>
  readonly faceReadings: ReadonlyArray<FaceReading>
  readonly kept: ReadonlyArray<Kept>
  /** By conversation. */
  readonly messages: ReadonlyMap<string, ReadonlyArray<Pick<StoredMessage, "id">>>
  readonly ledger: ReadonlyArray<Entry>
  readonly deaths: ReadonlyArray<Death>
  readonly lives: ReadonlyArray<Life>
  /** When the store did not answer or refused writes, and when no process was there. */
  readonly outages: ReadonlyArray<Outage>
  readonly absences: ReadonlyArray<Outage>
  readonly leaseMillis: number
  readonly capacity: number
  /** What the resident memory of a server may grow by. */
  readonly growthBytes: number
  /** Restarts of the store, and how often it refused writes for a while. */
  readonly restarts: number
  readonly refusals: number
  readonly proxies: ReadonlyArray<ProxyCounts>
  /** Content at the bounds: what was accepted and arrived whole, what was refused and changed nothing. */
  readonly content: { readonly accepted: number; readonly refused: number }
  /** When the store, or the machine, was slow. */
  readonly slow: ReadonlyArray<Outage>
  /** When all connections to the store were cut. */
  readonly cuts: ReadonlyArray<number>
  /** What must have happened for the run to have shown anything. */
  readonly least: Partial<Counts>
}

/** How often what happened. */
export type Counts = Record<typeof countNames[number], number>

export const countNames = [
  "tasks",
  "events",
  "readers",
  "stalled readers",
  "readers through faces",
  "events checked at readers",
  "processes killed -9",
  "processes frozen",
  "processes cut off",
  "processes told to end",
  "processes whose clock was wrong",
  "restarts of the store",
  "times the store refused writes",
  "connections through a proxy",
  "connections that a proxy cut",
  "connections that a proxy left half-open",
  "times all connections to the store were cut",
  "orphans",
  "tasks handed over",
  "tasks cancelled",
  "child tasks",
  "content at a bound that was accepted",
  "content over a bound that was refused"
] as const

export interface Violation {
  readonly promise: string
  readonly what: string
}

/** JSON in which the order of keys does not matter. */
export const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => a < b ? -1 : 1))
      : inner)

/** An event as every reader gets it: with the time of its write. */
export const toData = ({ at, event }: Pick<StoredEvent, "at" | "event">): string => canonical({ ...event, at })
