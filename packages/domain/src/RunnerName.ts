/**
 * What names a process for people.
 *
 * @since 0.1.0
 */
import { Context } from "effect"

/**
 * The beginning of the id of this process as a runner, such as `<host>-<pid>`: operators see where a task runs. The store keeps
 * it as the owner of the task; no other table has it. Empty by default: then the id is random alone.
 *
 * **Details** The layers of the stores in `@perennial/backends` that need Node.js provide it. Characters other than letters,
 * digits, `.`, `_` and `-` become `-`, and at most 100 characters are used.
 *
 * @since 0.1.0
 * @category services
 */
export const RunnerName = Context.Reference<string>("@perennial/domain/RunnerName", { defaultValue: () => "" })
