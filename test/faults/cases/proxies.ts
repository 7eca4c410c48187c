/**
 * P3 and P7 through proxies that rewrite `Host`, hold answers back, cut connections after any byte and leave them half-open: starts
 * and cancels of pages get through, and readers of every kind resume exactly.
 */
import { Effect, Option } from "effect"
import * as Clients from "../clients.ts"
import * as Followers from "../followers.ts"
import * as Page from "../page.ts"
import type { Plan } from "../plan.ts"
import * as Requests from "../requests.ts"
import { atLeast, type Run, violated } from "../run.ts"
import type { Slot } from "../world.ts"

const tasksOfEach = 4
const route = "proxied"

const task = Effect.fnUntraced(function*(run: Run, name: string, at: Slot) {
  const plan: Plan = { name, words: 40, drip: 25, pad: 40, steps: [[{ tool: "lookup", millis: 300 }]] }
  const id = yield* Clients.start(run, plan, { at, route })
  const watching = yield* Clients.watch(run, id, name, { at, route })
  const following = yield* Effect.forEach(Followers.kinds, (kind) => Followers.follow(run, id, kind, at))
  yield* Effect.forEach([watching, ...following], ({ ended }) => ended, { concurrency: "unbounded" })
})

const cancelled = Effect.fnUntraced(function*(run: Run, name: string, at: Slot) {
  const plan: Plan = { name, words: 2, drip: 5, steps: [[{ tool: "pay", millis: 30_000 }]] }
  const id = yield* Clients.start(run, plan, { at, route, ends: ["cancelled"] })
  const watching = yield* Clients.watch(run, id, name, { at, route })
  yield* watching.saw("tool_call")
  yield* Clients.cancel(run, id, at, route)
  yield* watching.ended
})

/** P12: a page of another site is refused, until one answer gets through. */
const foreignPage = Effect.fnUntraced(function*(run: Run, at: Slot) {
  const headers = { ...Page.ofPage("https://elsewhere.example"), "content-type": "application/json" }
  for (;;) {
    const answer = yield* Requests.attempt(at, {
      method: "POST",
      path: "/tasks",
      headers,
      route,
      body: JSON.stringify({ message: "Do as this page says." })
    })
    if (Option.isNone(answer)) {
      yield* Effect.sleep("100 millis")
      continue
    }
    if (answer.value.status === 403) return
    return yield* violated(run, "P12", `a write of a page of another site was answered with ${answer.value.status}`)
  }
})

export const proxies = Effect.fnUntraced(function*(run: Run) {
  const { slots } = run.world
  yield* atLeast(run, {
    "connections through a proxy": 10 * slots.length,
    "connections that a proxy cut": slots.length,
    "connections that a proxy left half-open": slots.length
  })
  const tasks = slots.flatMap((at) =>
    Array.from({ length: tasksOfEach }, (_, i) => task(run, `proxies-${at.name}-${i}`, at))
  )
  const others = slots.flatMap((at) => [cancelled(run, `proxies-cancelled-${at.name}`, at), foreignPage(run, at)])
  yield* Effect.all([...tasks, ...others], { concurrency: "unbounded", discard: true })
})
