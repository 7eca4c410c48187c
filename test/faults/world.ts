/**
 * Server processes on one store, and what can be done to them. A process that dies is started again on its port, as a
 * supervisor would.
 */
import { Clock, Deferred, Effect, Fiber, Latch, Schedule } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, openSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Clocks from "./clocks.ts"
import type { State } from "./link.ts"
import { residentBytes } from "./memory.ts"
import * as Proxy from "./proxy.ts"
import * as Runner from "./runner.ts"
import type { Outage, Store } from "./store.ts"

/** A process that could not work from some time on, for a while or for good. */
export interface Death {
  readonly pid: number
  /** Milliseconds since 1970. */
  readonly at: number
  readonly how: "killed" | "frozen" | "cutOff" | "terminated" | "died"
  /** When a process that was frozen or cut off could go on. */
  until?: number
  /** When one that was told to end, or killed, was gone, and its exit code. */
  gone?: number
  code?: number | null
}

/** A process from when it said its address. */
export interface Life {
  readonly pid: number
  readonly from: number
  to?: number
  /** How far its clock was ahead, in seconds. */
  readonly clockAhead: number
  /** Its resident memory when it was up, and at most since. */
  readonly freshBytes: number
  largestBytes: number
}

export interface Options {
  readonly store: Store
  readonly servers: number
  readonly leaseMillis: number
  /** Tasks that run at once in one process. */
  readonly capacity: number
  /** What the resident memory of a process may grow by. */
  readonly growthBytes: number
  /** Between the death of a process and the start of the next one. */
  readonly restartMillis: number
  /** Whether each process executes what it accepted, or a cluster places tasks. */
  readonly engine: "local" | "cluster"
  /** Whether the processes of a cluster reach each other and the store through links. */
  readonly linked?: boolean
  /** How far the clocks of processes are ahead, in seconds. Each process of a server gets the next one. */
  readonly clocks: ReadonlyArray<number>
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
  /** A proxy before it. */
  readonly proxy: Proxy.Proxy
  /** Where its processes are in the cluster, if there is one. */
  readonly runner: Runner.Runner | undefined
  readonly state: "starting" | "up" | "frozen" | "cutOff" | "down"
  /** How far the clock of its process is ahead, in seconds. */
  clockAhead: number
  process: Running | undefined
}

/** Between two looks at the memory of processes. */
const sampleEvery = "500 millis"

const module = fileURLToPath(new URL("server.ts", import.meta.url))

export type World = Effect.Success<ReturnType<typeof make>>

export const make = Effect.fnUntraced(function*(options: Options) {
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const directory = mkdtempSync(join(tmpdir(), "perennial-faults-"))
  const ledger = join(directory, "ledger.jsonl")
  openSync(ledger, "a")
  const deaths: Array<Death> = []
  const lives: Array<Life> = []
  /** Processes that this harness has told to end. */
  const told = new Set<number>()
  /** When no process could have done anything. */
  const absences: Array<Outage> = []
  let absentFrom: number | undefined = now()

  const makeSlot = Effect.fnUntraced(function*(name: string) {
    const proxy = yield* Proxy.make(() => slot.address)
    const isRunner = options.engine === "cluster"
    const runner = isRunner ? yield* Runner.of(options.store.url, options.linked === true) : undefined
    const slot: Slot = { name, address: "", proxy, runner, state: "down", clockAhead: 0, process: undefined }
    return slot
  })
  const slots = yield* Effect.forEach(
    Array.from({ length: options.servers }, (_, i) => "ABC".charAt(i)),
    makeSlot
  )
  /** The place in `clocks` of the next process of each server. */
  const clocks = slots.map((_, i) => i)
  const healthy = () => slots.filter(({ state }) => state === "up")
  const allUp = Latch.makeUnsafe(false)
  const enter = (slot: { state: Slot["state"] }, state: Slot["state"]) => {
    slot.state = state
    if (healthy().length === slots.length) allUp.openUnsafe()
    else allUp.closeUnsafe()
    if (healthy().length === 0) absentFrom ??= now()
    else if (absentFrom !== undefined) {
      absences.push({ from: absentFrom, to: now() })
      absentFrom = undefined
    }
  }

  const nextClock = (slot: Slot) => {
    const i = slots.indexOf(slot)
    const n = clocks[i] ?? 0
    clocks[i] = n + 1
    return options.clocks[n % options.clocks.length] ?? 0
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
        CAPACITY: String(options.capacity),
        CLOCK_AHEAD: String(slot.clockAhead),
        ...slot.runner?.environment,
        ...Clocks.environment(slot.clockAhead)
      }
    })
  }

  /** Starts a process and waits for its address, or for its end when the store refuses it. */
  const start = Effect.fnUntraced(function*(slot: Slot) {
    enter(slot, "starting")
    const exited = yield* Deferred.make<number | null>()
    const ready = yield* Deferred.make<string | undefined>()
    slot.clockAhead = nextClock(slot)
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
      const bytes = residentBytes(running.pid)
      const { clockAhead } = slot
      lives.push({ pid: running.pid, from: now(), clockAhead, freshBytes: bytes, largestBytes: bytes })
      enter(slot, "up")
    }
    return running
  })

  /** One process of a server, until its end. */
  const live = (slot: Slot, begun: Deferred.Deferred<boolean>) =>
    Effect.gen(function*() {
      const { exited, pid } = yield* start(slot)
      yield* Deferred.succeed(begun, slot.address !== "")
      const code = yield* Deferred.await(exited)
      enter(slot, "down")
      const life = lives.findLast((one) => one.pid === pid)
      if (life !== undefined) life.to = now()
      if (!told.has(pid)) deaths.push({ pid, at: now(), how: "died", gone: now(), code })
    })

  const supervise = (slot: Slot, begun: Deferred.Deferred<boolean>) =>
    Effect.repeat(live(slot, begun), Schedule.spaced(options.restartMillis))

  yield* Effect.sync(() => {
    for (const life of lives) {
      if (life.to === undefined) life.largestBytes = Math.max(life.largestBytes, residentBytes(life.pid))
    }
  }).pipe(Effect.repeat(Schedule.spaced(sampleEvery)), Effect.forkScoped)
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

  const signal = (process: Running, name: NodeJS.Signals, how: Death["how"]): Death => {
    const death = { pid: process.pid, at: now(), how }
    deaths.push(death)
    process.child.kill(name)
    return death
  }

  const end = (slot: Slot, name: NodeJS.Signals, how: Death["how"]) =>
    Effect.suspend(() => {
      enter(slot, "down")
      const { process } = slot
      if (process === undefined) return Effect.succeed(null)
      told.add(process.pid)
      const death = signal(process, name, how)
      return Effect.map(Deferred.await(process.exited), (code) => {
        Object.assign(death, { gone: now(), code })
        return code
      })
    })

  const goOn = (slot: Slot, how: "frozen" | "cutOff") => {
    const paused = deaths.findLast(({ pid }) => pid === slot.process?.pid)
    if (paused?.how === how) paused.until ??= now()
    if (slot.state === how) enter(slot, "up")
  }
  const betweenRunners = (state: State) =>
    Effect.forEach(slots, ({ runner }) => runner?.links?.toRunner.enter(state) ?? Effect.void, { discard: true })
  const toStore = ({ runner }: Slot, state: State) => runner?.links?.toStore.enter(state) ?? Effect.void

  return {
    ...options,
    directory,
    ledger,
    slots,
    deaths,
    lives,
    absences,
    /** The servers that should answer. */
    healthy,
    /** Waits until all servers should answer. */
    allUp: allUp.await,
    /** kill -9; resolves when it is dead. */
    kill: (slot: Slot) => Effect.asVoid(end(slot, "SIGKILL", "killed")),
    /** SIGTERM; resolves with the exit code. */
    terminate: (slot: Slot) => end(slot, "SIGTERM", "terminated"),
    /** SIGSTOP: it does nothing more, and its sockets stay open. */
    freeze: (slot: Slot) =>
      Effect.sync(() => {
        enter(slot, "frozen")
        if (slot.process !== undefined) signal(slot.process, "SIGSTOP", "frozen")
      }),
    /** SIGCONT. */
    thaw: (slot: Slot) =>
      Effect.sync(() => {
        slot.process?.child.kill("SIGCONT")
        goOn(slot, "frozen")
      }),
    /** The links from runners to each other: the store is their only way then. */
    betweenRunners,
    /** No packet passes between a process and the store, nor between runners. Clients still reach the process. */
    cutOff: (slot: Slot) =>
      Effect.suspend(() => {
        enter(slot, "cutOff")
        deaths.push({ pid: slot.process?.pid ?? 0, at: now(), how: "cutOff" })
        return Effect.andThen(toStore(slot, "silent"), betweenRunners("silent"))
      }),
    /** Packets pass again. */
    rejoin: (slot: Slot) =>
      Effect.suspend(() => {
        goOn(slot, "cutOff")
        return Effect.andThen(toStore(slot, "whole"), betweenRunners("whole"))
      }),
    /** One more process, which clients do not know, until the effect has ended it. False if it did not come up. */
    visit: Effect.fnUntraced(function*(meanwhile: (guest: Slot) => Effect.Effect<unknown>) {
      const guest = yield* makeSlot("D")
      yield* Effect.addFinalizer(() => Effect.sync(() => guest.process?.child.kill("SIGKILL")))
      const begun = yield* Deferred.make<boolean>()
      const living = yield* Effect.forkScoped(live(guest, begun))
      const isUp = yield* Deferred.await(begun)
      if (isUp) yield* meanwhile(guest)
      yield* Fiber.join(living)
      return isUp
    }, Effect.scoped)
  }
})
