/** What a world consists of: data that is drawn from its seed before anything runs. It can be printed and made smaller. */
import type { OnBusy } from "@perennial/domain/Task"
import { Dice } from "./dice.ts"

/** How likely it is that something goes wrong, from 0 to 1. */
export interface Weather {
  /** Calls of a store that do nothing and fail. */
  readonly refused: number
  /** Calls that take effect, and whose reply is lost. */
  readonly unanswered: number
  /** Calls without a reply that take effect up to 12 s later. */
  readonly late: number
  readonly slow: number
  readonly lostWakes: number
  readonly repeatedWakes: number
  /** How long a group commit waits for further events, in milliseconds. */
  readonly commitMillis: number
  /** How long it takes at most until a deletion reaches the conversation store, in milliseconds. */
  readonly deleteMillis: number
}

/** What the agent does in one step of a task. */
export type AgentStep =
  | {
    readonly type: "say"
    readonly words: number
    readonly millis: number
    /** The length of each word, if the words are long. */
    readonly length?: number
  }
  | {
    readonly type: "call"
    /** `look` may be repeated after a crash, `pay` may not. */
    readonly tool: "look" | "pay"
    readonly millis: number
    /** How long its finalizer takes, in milliseconds. */
    readonly tidyMillis: number
    /** Whether the calls need an approval. */
    readonly asks: boolean
    /** How many concurrent calls the step has. */
    readonly calls: number
  }
  | {
    readonly type: "ask"
    /** What each child task does. */
    readonly steps: ReadonlyArray<AgentStep>
    /** How many concurrent calls start a child task each. */
    readonly calls: number
  }

export type Act =
  | {
    readonly type: "start"
    readonly onBusy: OnBusy
    /** With an idempotency key, a client that got no answer starts again. */
    readonly keyed: boolean
    /** Answers the last message again instead of a new one. */
    readonly again: boolean
    readonly readers: number
    readonly steps: ReadonlyArray<AgentStep>
  }
  | { readonly type: "cancel" | "decide" | "await" | "delete" }
  /** Another user asks for what belongs to the user. */
  | { readonly type: "spy"; readonly does: "get" | "events" | "cancel" | "decide" | "regenerate" | "delete" }

/** The acts of one client in its conversation, each after a pause in milliseconds. */
export interface Script {
  readonly conversation: string
  readonly client: string
  /** Whether the client follows the conversation from its first task on. */
  readonly follows?: boolean
  readonly acts: ReadonlyArray<Act & { readonly pause: number }>
}

export interface Fault {
  /** `expire`: frozen for longer than the lease, and terminated when it continues. */
  readonly type: "kill" | "terminate" | "freeze" | "expire" | "outage"
  /** The index of the process. */
  readonly place: number
  readonly at: number
  readonly millis: number
}

export interface Plan {
  readonly seed: number
  /** Whether the steps of a process run in any order. */
  readonly reorders: boolean
  readonly limits: {
    readonly capacity: number
    readonly waiting: number
    readonly queuedPerConversation: number
    readonly activePerUser: number
    readonly taskTimeoutMillis: number
    readonly pageCacheBytes: number
  }
  /** How much the clock of each process differs from the store's, in milliseconds. There are as many processes. */
  readonly skews: ReadonlyArray<number>
  readonly weather: Weather
  /** Whether clients use HTTP. */
  readonly http: boolean
  /** Whether the agent is `LlmAgent`. */
  readonly llm: boolean
  readonly scripts: ReadonlyArray<Script>
  readonly faults: ReadonlyArray<Fault>
}

/** From then on everything works, in milliseconds since the beginning of the world. */
export const quietAt = 18_000

const day = 24 * 3_600_000

const repeat = <A>(n: number, make: (i: number) => A): Array<A> => Array.from({ length: n }, (_, i) => make(i))

/** An answer that is larger than what a process may hold of it for readers that stall. */
const flood: AgentStep = { type: "say", words: 100, millis: 0, length: 60_000 }

const agentStep = (dice: Dice, floods: boolean): AgentStep =>
  dice.chance(floods ? 0.003 : 0)
    ? flood
    : dice.chance(0.5)
    ? { type: "say", words: 1 + dice.below(4), millis: dice.chance(0.6) ? 0 : dice.below(1_500) }
    : {
      type: "call",
      tool: dice.pick(["look", "pay"]),
      millis: dice.chance(0.4) ? 0 : dice.below(4_000),
      tidyMillis: dice.chance(0.7) ? 0 : dice.below(1_000),
      asks: dice.chance(0.25),
      calls: dice.pick([1, 1, 2, 3])
    }

/** Longer than a world takes otherwise: a child task that works on for nobody shows itself. */
const longLook: AgentStep = { type: "call", tool: "look", millis: 60_000, tidyMillis: 0, asks: false, calls: 1 }

/** The same steps; in some tasks one of them asks child tasks. */
const delegating = (dice: Dice, steps: ReadonlyArray<AgentStep>): ReadonlyArray<AgentStep> => {
  if (dice.chance(0.4)) return steps
  const ask: AgentStep = {
    type: "ask",
    calls: dice.pick([1, 1, 2]),
    steps: dice.chance(0.2) ? [longLook] : repeat(1 + dice.below(3), () => agentStep(dice, false))
  }
  return steps.with(dice.below(steps.length), ask)
}

const act = (dice: Dice, { deletes, floods }: { readonly deletes: boolean; readonly floods: boolean }): Act => {
  if (dice.chance(0.7)) {
    const steps = repeat(1 + dice.below(4), () => agentStep(dice, floods))
    return {
      type: "start",
      onBusy: dice.pick(["reject", "enqueue", "enqueue", "interrupt"]),
      keyed: dice.chance(0.7),
      again: dice.chance(0.2),
      readers: steps.includes(flood) ? 4 : dice.below(3),
      steps
    }
  }
  if (dice.chance(0.1)) {
    return { type: "spy", does: dice.pick(["get", "events", "cancel", "decide", "regenerate", "delete"]) }
  }
  const type = dice.pick<"cancel" | "decide" | "await">(["cancel", "cancel", "decide", "await"])
  return { type: deletes && dice.chance(0.5) ? "delete" : type }
}

/** The plan of a seed. */
export const planOf = (seed: number): Plan => {
  const dice = new Dice(seed, 1)
  const rough = dice.chance(0.6)
  const rate = (most: number) => rough && dice.chance(0.5) ? dice.next() * most : 0
  const setting = {
    reorders: dice.chance(0.5),
    limits: {
      capacity: dice.pick([1, 2, 4, 100]),
      waiting: dice.pick([10_000, 10_000, 3]),
      queuedPerConversation: dice.pick([100, 100, 1]),
      activePerUser: dice.chance(0.2) ? 2 + dice.below(5) : 1_000,
      taskTimeoutMillis: dice.pick([day, day, 8_000]),
      pageCacheBytes: dice.pick([0, 1_000_000])
    },
    skews: repeat(3, () => dice.pick([0, 0, dice.below(4_000) - 2_000, day, -40 * day])),
    weather: {
      refused: rate(0.15),
      unanswered: rate(0.04),
      late: rate(0.02),
      slow: rate(0.5),
      lostWakes: dice.pick([0, 0, 0.3, 1]),
      repeatedWakes: dice.pick([0, 0.3]),
      commitMillis: dice.pick([0, 0, 0, 5]),
      deleteMillis: new Dice(seed, 5).chance(0.6) ? 3_000 : 0
    },
    http: dice.chance(0.07),
    llm: dice.chance(0.15)
  }
  // Over HTTP, and as one message of a model, such an answer costs much and shows nothing more.
  const floods = !setting.http && !setting.llm
  const followers = new Dice(seed, 6)
  const children = new Dice(seed, 8)
  const delegates = children.chance(0.12)
  const scripts = repeat(6, (i) => i).flatMap((i) => {
    const deletes = dice.chance(0.3)
    return repeat(1 + dice.below(2), (j) => ({
      conversation: `c${i}`,
      client: `c${i}.${j}`,
      follows: followers.chance(setting.http ? 0.4 : 0.1),
      acts: repeat(1 + dice.below(3), () => {
        const drawn = act(dice, { deletes, floods })
        const isDelegated = delegates && drawn.type === "start" && !drawn.steps.includes(flood)
        return {
          ...drawn,
          ...isDelegated ? { steps: delegating(children, drawn.steps) } : {},
          pause: dice.chance(0.4) ? dice.below(20) : dice.below(5_000)
        }
      })
    }))
  })
  return {
    seed,
    ...setting,
    scripts,
    faults: repeat(dice.below(5), () => ({
      type: dice.pick(["kill", "kill", "terminate", "freeze", "expire", "outage"]),
      place: dice.below(3),
      at: dice.below(quietAt - 4_000),
      millis: dice.chance(0.5) ? dice.below(3_000) : dice.below(14_000)
    }))
  }
}
