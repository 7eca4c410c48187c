/** Sends the requests of an attacker, and checks every answer. */
import { Effect, type Scope } from "effect"
import { heapBytes } from "../support/heap.ts"
import { Dice } from "../worlds/dice.ts"
import { Attacker, operationsOf } from "./requests.ts"
import { type Answer, make, type Sent, type Store } from "./server.ts"
import { mark, prepare } from "./victim.ts"

export interface Options {
  readonly store: Store
  readonly seed: number
  readonly count: number
}

/** An answer that breaks a promise. */
export interface Finding {
  readonly what: string
  readonly sent: Sent
  readonly answer: Answer
}

export interface Report {
  readonly findings: ReadonlyArray<Finding>
  /** How many answers had each status; `503` only with the problem of a limit, or of `/ready`. */
  readonly statuses: ReadonlyMap<number, number>
  /** How many requests each operation got. */
  readonly operations: ReadonlyMap<string, number>
  /** Whether the data of the victim are as they were. */
  readonly intact: boolean
  /** Bytes on the heap after a tenth of the requests, and after all of them. */
  readonly heap: readonly [number, number]
}

/** The answers of a limit: they are 503, because another try may succeed. */
const limits = ["urn:perennial:problem:capacity-exceeded", "urn:perennial:problem:too-many-streams"]

const judge = ({ path }: Sent, { headers, status, text }: Answer): string | undefined => {
  if (text.includes(mark) || headers.includes(mark)) return "A byte of the victim is in an answer."
  if (status < 500) return undefined
  // On a busy machine a process may be late with its lease, and says so.
  const isNamed = limits.some((limit) => text.includes(limit)) || path.startsWith("/ready")
  return status === 503 && isNamed ? undefined : `The answer is ${status}.`
}

const maxFindings = 5
/** The attacker has new tasks after so many requests. */
const renewEvery = 500

const exportOf = {
  method: "GET",
  path: "/users/me/export",
  headers: { authorization: "Bearer victim-token" },
  body: undefined
}

/** An export without the time at which it was made. */
const settled = ({ text }: Answer) => text.replace(/"exportedAt":"[^"]*"/, "")

export const fuzz = Effect.fnUntraced(
  function*({ count, seed, store }: Options): Effect.fn.Return<Report, never, Scope.Scope> {
    const call = yield* make(store)
    const victim = yield* prepare(call, { token: "victim-token", word: mark, holding: true })
    const prepareOwn = prepare(call, { token: "attacker-token", word: "mine", holding: false })
    const document = yield* call({ method: "GET", path: "/openapi.json", headers: {}, body: undefined })
    const operations = operationsOf(JSON.parse(document.text))
    const attacker = new Attacker(new Dice(seed, 1), operations, victim, yield* prepareOwn)
    const before = settled(yield* call(exportOf))

    const findings: Array<Finding> = []
    const statuses = new Map<number, number>()
    const sentTo = new Map<string, number>()
    let tenth = 0
    for (let i = 0; i < count && findings.length < maxFindings; i++) {
      // The attacker erases the data of the attacker, too.
      if (i % renewEvery === renewEvery - 1) attacker.own = yield* prepareOwn
      const request = attacker.request()
      // A leak may be in a stream that does not end.
      const sent = { ...request, until: [...request.until ?? [], mark] }
      const answer = yield* Effect.timeoutOrElse(call(sent), {
        duration: "1 minute",
        orElse: () => Effect.succeed({ status: 599, headers: "", text: "The answer does not end." })
      })
      const what = judge(sent, answer)
      if (what !== undefined) findings.push({ what, sent, answer })
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      const [first = ""] = /^\/[^/?]*/.exec(sent.path) ?? []
      sentTo.set(first, (sentTo.get(first) ?? 0) + 1)
      if (i === Math.floor(count / 10)) tenth = yield* heapBytes
    }
    const after = settled(yield* call(exportOf))
    return {
      findings,
      statuses,
      operations: sentTo,
      intact: before === after && before.includes(mark) && before.endsWith("}}\n"),
      heap: [tenth, yield* heapBytes]
    }
  },
  Effect.scoped
)
