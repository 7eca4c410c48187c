/** The rounds in which heads wait for an owner, so that the order is fair between users. */
import type { SqlClient, Statement } from "effect/sql"

/**
 * The round of a new head: after those of its user's heads that wait, and at least `behind` the oldest that waits. Each part
 * is one search of an index.
 */
export const nextRound = (
  sql: SqlClient.SqlClient,
  userId: Statement.Fragment,
  behind: 0 | 1
): Statement.Fragment =>
  sql`(SELECT MAX(w.round) FROM (
    SELECT MIN(round) + ${
    sql.literal(String(behind))
  } AS round FROM perennial_tasks WHERE head = 1 AND runner_id IS NULL
    UNION ALL SELECT MAX(round) + 1 FROM perennial_tasks WHERE user_id = ${userId} AND head = 1 AND runner_id IS NULL
    UNION ALL SELECT 0) w)`
