/** A user with many tasks that wait does not keep another user's first task waiting. */
import { assert, describe, it } from "@effect/vitest"
import { make } from "@perennial/domain/Agent"
import { CurrentTask } from "@perennial/domain/CurrentTask"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { UserId } from "@perennial/domain/Ids"
import { zero } from "@perennial/domain/Usage"
import { adjust } from "@perennial/runtime/Testing"
import { Clock, Effect, Option } from "effect"
import { shared, startProcess } from "./support/processes.ts"

const as = (user: string) => Effect.provideService(CurrentUser, UserId.make(user))

/** Tasks of half a second, with capacity 2. Alice's tasks are in `conversations` conversations. */
const waitOfBob = Effect.fnUntraced(function*(tasks: number, conversations: number) {
  const began: Array<{ readonly userId: UserId; readonly at: number }> = []
  const agent = make("half-second", () =>
    Effect.gen(function*() {
      const { userId } = Option.getOrThrow(yield* CurrentTask)
      began.push({ userId, at: yield* Clock.currentTimeMillis })
      yield* Effect.sleep("500 millis")
      return { usage: zero }
    }))
  const both = yield* shared
  const { manager } = yield* startProcess(both, [agent], { capacity: 2, queuedPerConversation: tasks })
  const start = (conversationId: string) => manager.start({ message: "a", conversationId, onBusy: "enqueue" })
  for (let i = 0; i < tasks; i++) yield* as("alice")(start(`alice-${i % conversations}`))
  yield* adjust("100 millis")
  const accepted = yield* Clock.currentTimeMillis
  yield* as("bob")(start("bob"))
  const ofBob = () => began.find(({ userId }) => userId === "bob")
  for (let i = 0; i < 200 && ofBob() === undefined; i++) yield* adjust("100 millis")
  return (ofBob()?.at ?? Number.POSITIVE_INFINITY) - accepted
})

describe("fair between users: with capacity 2, another user's first task begins within two half-second tasks", () => {
  for (const [tasks, conversations] of [[20, 20], [1_000, 1_000], [100, 2]] as const) {
    it.effect(`of ${tasks} tasks that wait in ${conversations} conversations`, () =>
      Effect.gen(function*() {
        const wait = yield* waitOfBob(tasks, conversations)
        assert.isAtMost(wait, 1_000)
      }), 120_000)
  }
})
