/** The feed of a user in one process, with tasks that another process executes. */
import { assert } from "@effect/vitest"
import { make as makeAgent } from "@perennial/domain/Agent"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { FeedTask, FeedUpdate } from "@perennial/domain/Feed"
import { type TaskId, UserId } from "@perennial/domain/Ids"
import type { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import { Effect, Fiber, Queue, Stream } from "effect"
import { onTwoProcesses } from "./support/twoProcesses.ts"

type Manager = TaskManager["Service"]

const agent = makeAgent("asking", (input, emit) =>
  Effect.gen(function*() {
    const call = { tool: "pay", toolCallId: "call", args: {} }
    yield* emit([{ type: "title", title: "Paying" }, { type: "tool_approval", ...call }])
    const decision = yield* input.awaitDecision("call")
    yield* emit([{ type: "tool_approval", ...call, decision }])
    return { usage: zero }
  }))

const as = (user: string) => Effect.provideService(CurrentUser, UserId.make(user))

const crosses = Effect.fnUntraced(function*(a: Manager, b: Manager) {
  const updates = yield* Queue.unbounded<FeedUpdate>()
  const others = yield* Queue.unbounded<FeedUpdate>()
  const follow = (user: string, into: Queue.Queue<FeedUpdate>, after?: number) =>
    Effect.flatMap(
      as(user)(b.feed({ after })),
      (feed) => Effect.forkScoped(Stream.runForEach(feed, (update) => Queue.offer(into, update)))
    )
  const until = Effect.fnUntraced(function*(id: TaskId, is: (task: FeedTask) => boolean) {
    while (true) {
      const { cursor, tasks } = yield* Queue.take(updates)
      const task = tasks.find((task) => task.id === id)
      if (task !== undefined && is(task)) return { cursor, task }
    }
  })
  const reader = yield* follow("alice", updates)
  yield* follow("bob", others)
  assert.deepStrictEqual((yield* Queue.take(updates)).tasks, [])

  const { id } = yield* as("alice")(a.start({ message: "a" }))
  const { cursor, task } = yield* until(id, ({ waiting }) => waiting !== undefined)
  assert.deepStrictEqual([task.status, task.title, task.waiting?.[0]?.toolCallId], ["running", "Paying", "call"])
  assert.deepStrictEqual((yield* as("alice")(b.approvals())).items.map(({ taskId }) => taskId), [id])
  yield* Fiber.interrupt(reader)
  yield* as("alice")(b.decide(id, "call", { approved: true }))
  yield* as("alice")(b.await(id))

  // A reader that comes back learns of the end that it missed.
  yield* follow("alice", updates, cursor)
  yield* until(id, ({ status }) => status === "completed")
  const next = yield* as("alice")(a.start({ message: "a" }))
  yield* until(next.id, ({ waiting }) => waiting !== undefined)
  yield* as("alice")(a.cancel(next.id))
  yield* until(next.id, ({ status }) => status === "cancelled")
  assert.deepStrictEqual((yield* Queue.takeAll(others)).flatMap(({ tasks }) => tasks), [])
})

onTwoProcesses({
  of: "the feed",
  name: "P12: the feed shows the user's tasks of other processes, and nobody else's; a cursor resumes it",
  agent,
  test: crosses
})
