/**
 * Server processes on one store, and what can be done to them. A process that dies is started again on its port, as a
 * supervisor would.
 */
import { Clock, Deferred, Effect, Schedule } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, openSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Outage, Store } from "./store.ts"

/** A process that could not work from some time on, for a while or for good. */
export interface Death {
  readonly pid: number
  /** Milliseconds since 1970. */
  readonly at: number
  readonly how: "killed" | "frozen" | "terminated" | "died"
  /** When a frozen process was continued. */
  until?: number
}

export interface Options {
  readonly store: Store
  readonly servers: number
  readonly leaseMillis: number
  /** Tasks that run at once in one process. */
  readonly capacity: number
  /** Between the death of a process and the start of the next one. */
  readonly restartMillis: number
}

interface Running {
  readonly child: ChildProcess
  readonly pid: number
  readonly exited: Deferred.Deferred<number | null>
}

/** One server, through all processes that take its place. */
export interface Slot {
  readonly name: string
  /** The same for all of them. */
  address: string
  readonly state: "starting" | "up" | "frozen" | "down"
  process: Running | undefined
}

const module = fileURLToPath(new URL("server.ts", import.meta.url))

export type World = Effect.Success<ReturnType<typeof make>>

export const make = Effect.fnUntraced(function*(options: Options) {
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const directory = mkdtempSync(join(tmpdir(), "perennial-faults-"))
  const ledger = join(directory, "ledger.jsonl")
  openSync(ledger, "a")
  const deaths: Array<Death> = []
  /** Processes that this harness has told to end. */
  const told = new Set<number>()
  /** When no process could have done anything. */
  const absences: Array<Outage> = []
  let absentFrom: number | undefined = now()

  const slots = Array.from({ length: options.servers }, (_, i): Slot => ({
    name: "ABC".charAt(i),
    address: "",
    state: "down",
    process: undefined
  }))
  const healthy = () => slots.filter(({ state }) => state === "up")
  const enter = (slot: { state: Slot["state"] }, state: Slot["state"]) => {
    slot.state = state
    if (healthy().length === 0) absentFrom ??= now()
    else if (absentFrom !== undefined) {
      absences.push({ from: absentFrom, to: now() })
      absentFrom = undefined
    }
  }

  const launch = (slot: Slot) => {
    const log = openSync(join(directory, `${slot.name}.log`), "a")
    return spawn(process.execPath, ["--disable-warning=ExperimentalWarning", module], {
      stdio: ["ignore", log, log, "ipc"],
      env: {
        PATH: "/usr/bin:/bin",
        STORE: options.store.url,
        PORT: slot.address === "" ? "0" : new URL(slot.address).port,
        LEDGER: ledger,
        LEASE_MILLIS: String(options.leaseMillis),
        CAPACITY: String(options.capacity)
      }
    })
  }

  /** Starts a process and waits for its address, or for its end when the store refuses it. */
  const start = Effect.fnUntraced(function*(slot: Slot) {
    enter(slot, "starting")
    const exited = yield* Deferred.make<number | null>()
    const ready = yield* Deferred.make<string | undefined>()
    const child = launch(slot)
    const running: Running = { child, pid: child.pid ?? 0, exited }
    slot.process = running
    child.once("message", (address) => Deferred.doneUnsafe(ready, Effect.succeed(String(address))))
    child.once("exit", (code) => {
      Deferred.doneUnsafe(ready, Effect.undefined)
      Deferred.doneUnsafe(exited, Effect.succeed(code))
    })
    const address = yield* Deferred.await(ready)
    if (address !== undefined) {
      slot.address = address
      enter(slot, "up")
    }
    return running
  })

  const supervise = (slot: Slot, begun: Deferred.Deferred<boolean>) =>
    Effect.gen(function*() {
      const { exited, pid } = yield* start(slot)
      yield* Deferred.succeed(begun, slot.address !== "")
      yield* Deferred.await(exited)
      enter(slot, "down")
      if (!told.has(pid)) deaths.push({ pid, at: now(), how: "died" })
    }).pipe(Effect.repeat(Schedule.spaced(options.restartMillis)))

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const { process } of slots) process?.child.kill("SIGKILL")
    })
  )
  yield* Effect.forEach(slots, (slot) =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<boolean>()
      yield* Effect.forkScoped(supervise(slot, begun))
      if (yield* Deferred.await(begun)) return
      return yield* Effect.die(new Error(`The first server does not start: see ${directory}/${slot.name}.log`))
    }), { concurrency: "unbounded" })

  const signal = (slot: Slot, name: NodeJS.Signals, how?: Death["how"]) => {
    const { process } = slot
    if (process === undefined) return
    if (how !== undefined) deaths.push({ pid: process.pid, at: now(), how })
    process.child.kill(name)
  }

  const end = (slot: Slot, name: NodeJS.Signals, how: Death["how"]) =>
    Effect.suspend(() => {
      enter(slot, "down")
      const { process } = slot
      if (process === undefined) return Effect.succeed(null)
      told.add(process.pid)
      signal(slot, name, how)
      return Deferred.await(process.exited)
    })

  return {
    ...options,
    directory,
    ledger,
    slots,
    deaths,
    absences,
    /** Those that should answer. */
    healthy,
    /** kill -9; resolves when it is dead. */
    kill: (slot: Slot) => Effect.asVoid(end(slot, "SIGKILL", "killed")),
    /** SIGTERM; resolves with the exit code. */
    terminate: (slot: Slot) => end(slot, "SIGTERM", "terminated"),
    /** SIGSTOP: it does nothing more, and its sockets stay open. */
    freeze: (slot: Slot) =>
      Effect.sync(() => {
        enter(slot, "frozen")
        signal(slot, "SIGSTOP", "frozen")
      }),
    /** SIGCONT. */
    thaw: (slot: Slot) =>
      Effect.sync(() => {
        const frozen = deaths.findLast(({ pid }) => pid === slot.process?.pid)
        if (frozen?.how === "frozen") frozen.until ??= now()
        signal(slot, "SIGCONT")
        if (slot.state === "frozen") enter(slot, "up")
      }),
    /** The resident memory of the largest process, in bytes. */
    largestBytes: () => Math.max(...healthy().map(({ process }) => residentBytes(process?.pid)), 0)
  }
})

const residentBytes = (pid: number | undefined): number => {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1_024
  } catch {
    // It died just now, or there is no such file on this system.
    return 0
  }
}
