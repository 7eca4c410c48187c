/** Sends heads to their entities, so that who submits does not wait for the storage of messages. */
import type { TaskId } from "@perennial/domain/Ids"
import { Effect, Queue } from "effect"
import { Conversation } from "./conversationEntity.ts"

/** A message, and the entity that it is for. */
interface Outgoing {
  readonly entityId: string
  readonly run: { readonly taskId: TaskId; readonly n: number }
}

/** How many messages are on their way at once. */
const senders = 64

/** A message is stored before its runner is told. A runner that does not answer finds it there. */
const patience = "5 seconds"

/** What finds no room among `capacity` messages is dropped: the sweep finds its head in the store. */
export const make = Effect.fnUntraced(function*(capacity: number) {
  const client = yield* Conversation.client
  const queue = yield* Queue.dropping<Outgoing>(Math.max(1, capacity))

  const send = ({ entityId, run }: Outgoing) =>
    client(entityId).Run(run, { discard: true }).pipe(
      Effect.timeout(patience),
      Effect.catchCause((cause) =>
        Effect.logWarning(`Task ${run.taskId} was not sent to its runner; the sweep submits it.`, cause)
      )
    )
  yield* Queue.take(queue).pipe(
    Effect.flatMap(send),
    Effect.forever,
    Effect.forkScoped,
    Effect.replicateEffect(senders, { discard: true })
  )

  return (outgoing: Outgoing) => Effect.asVoid(Queue.offer(queue, outgoing))
})
