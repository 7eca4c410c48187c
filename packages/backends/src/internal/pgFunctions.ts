/**
 * The functions of PostgreSQL that the migrations create. Each query of a volatile function has a new snapshot: after the
 * function has waited for a lock, it sees what other statements committed meanwhile. The statement that calls it does not.
 */
import { Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"

type Create = (sql: SqlClient.SqlClient) => Effect.Effect<void, SqlError.SqlError>

/** Counts at most `most` active tasks of a user, while no other transaction counts or accepts tasks of the user. */
export const activeTasks: Create = (sql) =>
  Effect.asVoid(sql`CREATE FUNCTION perennial_active_tasks(of_user TEXT, most INTEGER) RETURNS INTEGER
    LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
      PERFORM pg_advisory_xact_lock(hashtextextended(of_user, 0));
      RETURN (SELECT COUNT(*) FROM (SELECT FROM perennial_tasks
        WHERE user_id = of_user AND status IN ('queued', 'running') LIMIT most) t);
    END $$`)

/**
 * The same by an index for certain: each part has the order of an index. Without an order the planner may read the whole table
 * in the hope of finding `most` rows soon.
 */
export const activeTasksByIndex: Create = (sql) => {
  const part = (status: string) =>
    sql.literal(`(SELECT 1 FROM perennial_tasks WHERE user_id = of_user AND status = '${status}'
          ORDER BY id NULLS FIRST LIMIT most)`)
  return Effect.asVoid(sql`CREATE OR REPLACE FUNCTION perennial_active_tasks(of_user TEXT, most INTEGER) RETURNS INTEGER
    LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
      PERFORM pg_advisory_xact_lock(hashtextextended(of_user, 0));
      RETURN (SELECT LEAST(most, COUNT(*)) FROM (${part("queued")} UNION ALL ${part("running")}) t);
    END $$`)
}

/**
 * The counts of rate limits. The row of a token bucket has the tokens that are left, and the row of a window the tokens that
 * were taken. A crash of the server empties the table. The rows are updated in place, without an index but the key.
 */
export const rateLimits: Create = Effect.fnUntraced(function*(sql) {
  yield* sql`CREATE UNLOGGED TABLE perennial_rate_limits (
    key TEXT COLLATE "C" PRIMARY KEY, tokens FLOAT8 NOT NULL, refilled_at FLOAT8 NOT NULL, expires_at FLOAT8 NOT NULL)
    WITH (fillfactor = 50)`
  // `calls` calls that take `take` tokens each. Returns the tokens before all of them.
  yield* sql`CREATE FUNCTION perennial_take_tokens(of_key TEXT, calls INTEGER, take FLOAT8, most FLOAT8, refill FLOAT8,
      overflow BOOLEAN)
    RETURNS TABLE (tokens FLOAT8, elapsed FLOAT8) ROWS 1 LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      bucket perennial_rate_limits%ROWTYPE;
      millis FLOAT8;
      steps FLOAT8;
      accepted FLOAT8;
    BEGIN
      LOOP
        SELECT * INTO bucket FROM perennial_rate_limits l WHERE l.key = 'bucket:' || of_key FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO perennial_rate_limits VALUES ('bucket:' || of_key, most, 0, 0) ON CONFLICT DO NOTHING;
      END LOOP;
      millis := EXTRACT(EPOCH FROM clock_timestamp()) * 1000;
      steps := GREATEST(0, FLOOR((millis - bucket.refilled_at) / refill));
      bucket.tokens := LEAST(most, bucket.tokens + steps);
      bucket.refilled_at := CASE WHEN bucket.tokens >= most THEN millis ELSE bucket.refilled_at + steps * refill END;
      accepted := CASE WHEN overflow OR take = 0 THEN calls
        ELSE LEAST(calls, GREATEST(0, FLOOR(bucket.tokens / take))) END;
      UPDATE perennial_rate_limits l SET tokens = bucket.tokens - accepted * take, refilled_at = bucket.refilled_at,
        expires_at = bucket.refilled_at + (most - bucket.tokens + accepted * take) * refill
        WHERE l.key = bucket.key;
      RETURN QUERY SELECT bucket.tokens, GREATEST(0, millis - bucket.refilled_at);
    END $$`
  // A limit of 0 is none.
  yield* sql`CREATE FUNCTION perennial_take_window(of_key TEXT, take FLOAT8, most FLOAT8, refill FLOAT8)
    RETURNS TABLE (taken FLOAT8, ttl FLOAT8) ROWS 1 LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      counter perennial_rate_limits%ROWTYPE;
      millis FLOAT8;
    BEGIN
      LOOP
        SELECT * INTO counter FROM perennial_rate_limits l WHERE l.key = 'window:' || of_key FOR UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO perennial_rate_limits VALUES ('window:' || of_key, 0, 0, 0) ON CONFLICT DO NOTHING;
      END LOOP;
      millis := EXTRACT(EPOCH FROM clock_timestamp()) * 1000;
      IF counter.expires_at <= millis THEN
        counter.tokens := 0;
        counter.expires_at := millis;
      END IF;
      IF most = 0 OR counter.tokens + take <= most THEN
        counter.expires_at := counter.expires_at + refill * take;
        UPDATE perennial_rate_limits l SET tokens = counter.tokens + take, expires_at = counter.expires_at
          WHERE l.key = counter.key;
      END IF;
      RETURN QUERY SELECT counter.tokens + take, counter.expires_at - millis;
    END $$`
})
