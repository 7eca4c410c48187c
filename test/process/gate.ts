/**
 * Where the agents of other processes wait: a test sees here who executes what, and decides who goes on.
 */
import { Effect } from "effect"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

/** An attempt at a task that has come to the gate. */
export interface Attempt {
  readonly taskId: string
  readonly attempt: number
  readonly pid: number
  /** How many attempts the process makes at this time, this one included. */
  readonly atOnce: number
}

export interface Gate {
  readonly url: string
  /** All attempts so far, in the order in which they came. */
  readonly attempts: ReadonlyArray<Attempt>
  /** The tasks whose attempts have come so far, in the order in which they came first. */
  readonly begun: () => ReadonlyArray<string>
  /** The attempts that went away before the gate opened for them. */
  readonly stopped: ReadonlyArray<Attempt>
  /** Lets the attempts at a task go on, also later ones. */
  readonly open: (taskId: string) => Effect.Effect<void>
  /** Lets all attempts go on. */
  readonly openAll: Effect.Effect<void>
  /** Waits until what has come, or gone away, satisfies the predicate. */
  readonly until: (found: () => boolean) => Effect.Effect<void>
  /** Waits for an attempt at a task, and returns the newest. */
  readonly attemptAt: (taskId: string) => Effect.Effect<Attempt>
}

/** A server on a free port, until the scope closes. */
export const makeGate = Effect.gen(function*() {
  const attempts: Array<Attempt> = []
  const stopped: Array<Attempt> = []
  const opened = new Set<string>()
  const held = new Set<{ readonly taskId: string; readonly response: ServerResponse }>()
  const looks = new Set<() => void>()
  let isOpen = false

  const changed = () => {
    for (const look of looks) look()
  }
  const letGo = () => {
    for (const one of held) {
      if (!isOpen && !opened.has(one.taskId)) continue
      held.delete(one)
      one.response.end()
    }
  }
  const server = createServer((request, response) => {
    const [, taskId = "", attempt, pid, atOnce, what] = (request.url ?? "").split("/")
    const come = { taskId, attempt: Number(attempt), pid: Number(pid), atOnce: Number(atOnce) }
    const one = { taskId, response }
    attempts.push(come)
    if (what === "answered") response.end()
    else held.add(one)
    response.on("close", () => {
      if (held.delete(one)) stopped.push(come)
      changed()
    })
    letGo()
    changed()
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )
  const until = (found: () => boolean) =>
    Effect.callback<void>((resume) => {
      const look = () => {
        if (found()) resume(Effect.void)
      }
      looks.add(look)
      look()
      return Effect.sync(() => looks.delete(look))
    })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    attempts,
    begun: () => [...new Set(attempts.map(({ taskId }) => taskId))],
    stopped,
    open: (taskId) =>
      Effect.sync(() => {
        opened.add(taskId)
        letGo()
      }),
    openAll: Effect.sync(() => {
      isOpen = true
      letGo()
    }),
    until,
    attemptAt: (taskId) =>
      Effect.andThen(
        until(() => attempts.some((one) => one.taskId === taskId)),
        Effect.sync(() => {
          const found = attempts.findLast((one) => one.taskId === taskId)
          if (found === undefined) throw new Error(`Nobody is at the gate for ${taskId}.`)
          return found
        })
      )
  } satisfies Gate
})
