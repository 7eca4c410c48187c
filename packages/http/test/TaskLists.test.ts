import { assert, it } from "@effect/vitest"
import { DateTime, Effect } from "effect"
import { body, type Fields, json, makeCall, makeEcho, post, problem } from "./support.ts"

const ids = ({ items }: Fields) => items.map(({ id }) => id)

it.live("tasks are listed by text, time, agent and what waits, newest or oldest first, and counted", () =>
  Effect.gen(function*() {
    const echo = makeEcho()
    const call = yield* makeCall({ echo })
    const started: Array<Fields> = []
    for (const message of ["Plant a TREE", "Water it", "hold the tree"]) {
      started.push(yield* json(yield* call("/tasks", post({ message }))))
    }
    const all = started.map(({ id }) => id)
    for (const id of all.slice(0, 2)) yield* body(yield* call(`/tasks/${id}/events`))
    const list = (query: string) => Effect.map(Effect.flatMap(call(`/tasks?${query}`), json), ids)
    assert.deepStrictEqual(yield* list("order=oldest"), all)
    assert.deepStrictEqual(yield* list("q=tree"), [all[2], all[0]])
    assert.deepStrictEqual(yield* list("q=tree&status=completed"), [all[0]])
    assert.deepStrictEqual(yield* list("agentId=echo"), all.toReversed())
    assert.deepStrictEqual(yield* list("agentId=other"), [])
    assert.deepStrictEqual(yield* list("waiting=true"), [])
    const first = yield* json(yield* call("/tasks?order=oldest&limit=2"))
    assert.deepStrictEqual(yield* list(`order=oldest&after=${first.next}`), all.slice(2))
    const second = yield* json(yield* call("/tasks?q=tree&limit=1"))
    assert.deepStrictEqual(yield* list(`q=tree&before=${second.next}`), [all[0]])
    const now = yield* DateTime.now
    const at = (hours: number) => encodeURIComponent(DateTime.formatIso(DateTime.add(now, { hours })))
    assert.deepStrictEqual(yield* list(`from=${at(-1)}&to=${at(1)}`), all.toReversed())
    assert.deepStrictEqual(yield* list(`from=${at(1)}`), [])
    assert.deepStrictEqual(yield* list(`to=${at(-1)}`), [])
    const counts = yield* json(yield* call("/tasks/counts"))
    assert.deepStrictEqual<unknown>(counts, {
      queued: 0,
      running: 1,
      completed: 2,
      error: 0,
      cancelled: 0,
      waiting: 0
    })
    const none: object = yield* json(yield* call("/tasks/counts?agentId=other"))
    assert.deepStrictEqual(none, { queued: 0, running: 0, completed: 0, error: 0, cancelled: 0, waiting: 0 })
    for (const query of ["from=yesterday", "waiting=maybe", "q=", "order=odd"]) {
      const refused = yield* call(`/tasks?${query}`)
      assert.deepStrictEqual((yield* problem(refused)).errors[0]?.path, ["query", query.replace(/=.*/, "")])
    }
  }))
