/**
 * The data of one person: everything that the stores have of a user, for an export, and to erase it.
 *
 * @since 0.1.0
 */
import { Context, Effect, Layer, Schema, type Stream } from "effect"
import { ConversationStore } from "./ConversationStore.ts"
import type { UserId } from "./Ids.ts"
import { makeErase } from "./internal/eraseUser.ts"
import { makeExport } from "./internal/exportUser.ts"
import { TaskBackend } from "./TaskBackend.ts"
import type { ConversationStoreError, TaskBackendError, UserStillActive } from "./TaskError.ts"
import { TaskManager } from "./TaskManager.ts"
import { ExportCounts, type ExportLine } from "./UserExport.ts"
import { WebhookStore, type WebhookStoreError } from "./WebhookStore.ts"

/**
 * How much was removed from each table of the stores. A deletion that an earlier call has begun counts only what was left.
 *
 * @since 0.1.0
 * @category models
 */
export const Receipt = Schema.Struct({
  ...ExportCounts.fields,
  /** Cancels and decisions. */
  intents: Schema.Natural
}).annotate({ identifier: "ErasureReceipt" })

/**
 * @since 0.1.0
 * @category models
 */
export interface Receipt extends Schema.Schema.Type<typeof Receipt> {}

/**
 * A store did not answer. An export begins anew; a deletion goes on where it was when it is called again.
 *
 * @since 0.1.0
 * @category errors
 */
export type StoreError = TaskBackendError | ConversationStoreError | WebhookStoreError

/**
 * Exports and erases what the stores have of a user.
 *
 * **Example** (an application erases a user in process)
 *
 * ```ts
 * import { UserId } from "@perennial/domain/Ids"
 * import { UserData } from "@perennial/domain/UserData"
 * import { Effect } from "effect"
 *
 * const closeAccount = Effect.fn("closeAccount")(function*(id: string) {
 *   const userData = yield* UserData
 *   const receipt = yield* userData.erase(UserId.make(id))
 *   yield* Effect.logInfo(`Erased ${receipt.conversations} conversations and ${receipt.tasks} tasks.`)
 * })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class UserData extends Context.Service<UserData, {
  /**
   * Reads everything, in pages: the memory that it takes does not depend on how much there is. It is no snapshot: what changes
   * meanwhile is in it as it was before or after the change. Logs that retention has removed are missing.
   */
  readonly export: (userId: UserId) => Stream.Stream<ExportLine, StoreError>

  /**
   * Cancels the active tasks of the user, waits for their ends, and removes conversations, messages, tasks, events and webhooks,
   * until a pass over all stores finds nothing. A start that is accepted before that last pass is erased, too; a start that is
   * accepted after it is a new task. May be called again at any time, also after a crash in the middle, and may be
   * called for a user of whom the stores have nothing.
   */
  readonly erase: (userId: UserId) => Effect.Effect<Receipt, StoreError | UserStillActive>
}>()("@perennial/domain/UserData") {
  /**
   * Over the stores of an application. Without webhooks, provide `MemoryWebhookStore.layer`.
   */
  static readonly layer: Layer.Layer<
    UserData,
    never,
    TaskManager | TaskBackend | ConversationStore | WebhookStore
  > = Layer.effect(
    UserData,
    Effect.gen(function*() {
      const services = {
        backend: yield* TaskBackend,
        conversations: yield* ConversationStore,
        manager: yield* TaskManager,
        webhooks: yield* WebhookStore
      }
      return UserData.of({ export: makeExport(services), erase: makeErase(services) })
    })
  )
}
