/**
 * The refusal of a database that a store cannot use.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * The layer of a store refuses its database before it changes anything. The message is one line: it says what is wrong
 * with the database and what to do.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnusableStore extends Schema.TaggedError<UnusableStore>()("UnusableStore", { problem: Schema.String }) {
  override get message() {
    return this.problem
  }
}
