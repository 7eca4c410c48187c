/**
 * The feed of a user's tasks, and of webhooks that need the user: what lists, inboxes and sidebars show.
 *
 * It is level-triggered: it tells how tasks are now, and skips states that a slow reader has missed.
 *
 * @since 0.1.0
 */
import { Schema, Struct } from "effect"
import { Task } from "./Task.ts"
import { WebhookId } from "./Webhook.ts"

/**
 * A task as the feed shows it: without its `metadata`, which may be large.
 *
 * @since 0.1.0
 * @category models
 */
export const FeedTask = Task.mapFields(Struct.omit(["metadata"])).annotate({ identifier: "FeedTask" })

/**
 * @since 0.1.0
 * @category models
 */
export interface FeedTask extends Schema.Schema.Type<typeof FeedTask> {}

/**
 * A webhook of the user that is sent nothing any more, because its messages did not arrive.
 *
 * @since 0.1.0
 * @category models
 */
export const DisabledWebhook = Schema.Struct({
  id: WebhookId,
  disabledAt: Schema.DateTimeUtcFromString,
  disabledReason: Schema.String
}).annotate({ identifier: "DisabledWebhook" })

/**
 * @since 0.1.0
 * @category models
 */
export interface DisabledWebhook extends Schema.Schema.Type<typeof DisabledWebhook> {}

/**
 * What an update says. `snapshot`: `tasks` has every active task, the newest 1,000 of them; a task that is not there is not
 * active. A reader that resumes gets the tasks that have ended meanwhile, too. `changes`: each of `tasks` is accepted, has
 * begun, waits for a person or does so no longer, has given a title, or has ended.
 *
 * @since 0.1.0
 * @category models
 */
export const FeedChange = Schema.Struct({
  type: Schema.Literals(["snapshot", "changes"]),
  tasks: Schema.Array(FeedTask),
  /** All disabled webhooks of the user. Absent in a snapshot: there are none. Absent in changes: they are the same. */
  disabledWebhooks: Schema.optionalKey(Schema.Array(DisabledWebhook))
}).annotate({ identifier: "FeedChange" })

/**
 * @since 0.1.0
 * @category models
 */
export interface FeedChange extends Schema.Schema.Type<typeof FeedChange> {}

/**
 * One update of the feed.
 *
 * @since 0.1.0
 * @category models
 */
export interface FeedUpdate extends FeedChange {
  /** As `after`, it resumes the feed after this update. */
  readonly cursor: number
}
