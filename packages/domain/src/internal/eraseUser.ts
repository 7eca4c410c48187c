/** Erases what the stores have of a user, pass by pass, until a pass finds nothing. */
import { Effect } from "effect"
import type { ConversationStore } from "../ConversationStore.ts"
import { CurrentUser } from "../CurrentUser.ts"
import type { ConversationId, UserId } from "../Ids.ts"
import type { TaskBackend } from "../TaskBackend.ts"
import { UserStillActive } from "../TaskError.ts"
import type { TaskManager } from "../TaskManager.ts"
import type { WebhookStore } from "../WebhookStore.ts"

/** Conversations or tasks in one query. */
const pageSize = 100
/** Conversations that are deleted at once. */
const concurrency = 4
/** Tasks that are cancelled at once. */
const cancelConcurrency = 16
/** Only a user who starts tasks all the time needs more than three. */
const maxPasses = 20

interface Services {
  readonly backend: TaskBackend["Service"]
  readonly conversations: ConversationStore["Service"]
  readonly manager: TaskManager["Service"]
  readonly webhooks: WebhookStore["Service"]
}

export const makeErase = ({ backend, conversations, manager, webhooks }: Services) =>
  Effect.fn("UserData.erase")(function*(userId: UserId) {
    const receipt = { conversations: 0, messages: 0, tasks: 0, events: 0, intents: 0, webhooks: 0, deliveries: 0 }

    /** Waits for the ends of all active tasks. Returns whether there were any. */
    const cancelAll = Effect.gen(function*() {
      for (let found = false;; found = true) {
        // The newest first: a task that waits behind another one ends without having begun.
        const active = yield* backend.list({ userId, status: ["queued", "running"], limit: pageSize })
        if (active.length === 0) return found
        yield* Effect.forEach(
          active,
          ({ id }) =>
            manager.cancel(id, { reason: "The data of the user are erased." }).pipe(
              Effect.provideService(CurrentUser, userId),
              Effect.catchTags({
                // The reason is a constant of fewer than 1,000 characters.
                InvalidInput: Effect.die,
                TaskNotFound: () => Effect.void
              })
            ),
          { concurrency: cancelConcurrency, discard: true }
        )
      }
    })

    /** The tasks first: a deletion that ends in between finds the conversation again. Returns false if a task is active. */
    const eraseConversation = Effect.fnUntraced(
      function*(id: ConversationId) {
        const { events, intents, tasks } = yield* backend.deleteConversation({ conversationId: id, userId })
        receipt.tasks += tasks
        receipt.events += events
        receipt.intents += intents
        const messages = yield* conversations.delete({ id, userId }).pipe(
          Effect.catchTag("ConversationNotFound", () => Effect.undefined)
        )
        if (messages === undefined) return true
        receipt.conversations++
        receipt.messages += messages
        return true
      },
      Effect.catchTag("ConversationBusy", () => Effect.succeed(false))
    )

    /** Erases the conversations of a list, whose first page is read again and again. Returns whether it had any. */
    const eraseListed = Effect.fnUntraced(
      function*<E>(read: Effect.Effect<ReadonlyArray<ConversationId>, E>) {
        for (let found = false;; found = true) {
          const ids = new Set(yield* read)
          if (ids.size === 0) return found
          const erased = yield* Effect.forEach(ids, eraseConversation, { concurrency })
          // The next pass cancels what has become active.
          if (!erased.includes(true)) return true
        }
      }
    )

    const pass = Effect.gen(function*() {
      const forgotten = yield* webhooks.forgetUser(userId)
      receipt.webhooks += forgotten.webhooks
      receipt.deliveries += forgotten.deliveries
      const found = [
        forgotten.webhooks + forgotten.deliveries > 0,
        yield* cancelAll,
        yield* eraseListed(
          Effect.map(
            conversations.list({ userId, children: true, limit: pageSize }),
            (page) => page.map(({ id }) => id)
          )
        ),
        // A task may be without its conversation: one of the two steps of a deletion was done.
        yield* eraseListed(
          Effect.map(backend.list({ userId, limit: pageSize }), (page) => page.map((task) => task.conversationId))
        )
      ]
      return found.includes(true)
    })

    for (let passes = 0; passes < maxPasses; passes++) {
      if (yield* pass) continue
      yield* backend.forgetUser(userId)
      return receipt
    }
    return yield* new UserStillActive({ userId })
  })
