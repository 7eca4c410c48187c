/**
 * Replaces texts that stores keep, as damage or another version would.
 */
import type { Spoilable as SpoilableMessages } from "@perennial/backends/ConversationStoreContract"
import type { Spoilable } from "@perennial/backends/TaskBackendContract"
import { Effect } from "effect"
import { Redis } from "effect/persistence"
import { SqlClient } from "effect/sql"

/** Tasks in an SQL database. */
export const spoilSql: Effect.Effect<Spoilable["spoil"], never, SqlClient.SqlClient> = Effect.map(
  SqlClient.SqlClient,
  (sql) => (part, text) => {
    const { taskId } = part
    switch (part.part) {
      case "spec":
        return Effect.orDie(sql`UPDATE perennial_tasks SET spec = ${text} WHERE id = ${taskId}`)
      case "summary":
        return Effect.orDie(sql`UPDATE perennial_tasks SET summary = ${text} WHERE id = ${taskId}`)
      case "input":
        return Effect.orDie(
          sql`UPDATE perennial_task_events SET input = ${text} WHERE task_id = ${taskId} AND seq = 1`
        )
      case "event":
        return Effect.orDie(
          sql`UPDATE perennial_task_events SET payload = ${text} WHERE task_id = ${taskId} AND seq = ${part.seq}`
        )
      case "intent":
        return Effect.orDie(
          sql`UPDATE perennial_task_intents SET value = ${text} WHERE task_id = ${taskId} AND key = ${part.key}`
        )
    }
  }
)

/** Messages in an SQL database. */
export const spoilSqlMessages: Effect.Effect<SpoilableMessages["spoil"], never, SqlClient.SqlClient> = Effect.map(
  SqlClient.SqlClient,
  (sql) => (conversation, message, text) =>
    Effect.asVoid(Effect.orDie(
      sql`UPDATE perennial_messages SET payload = ${text} WHERE conversation_id = ${conversation} AND id = ${message}`
    ))
)

/** An entry of a stream cannot be changed: the stream is written again. */
const rewrite = `
local all = redis.call("XRANGE", KEYS[1], "-", "+")
redis.call("DEL", KEYS[1])
for _, entry in ipairs(all) do
  local fields = entry[2]
  if entry[1] == ARGV[1] then fields[#fields] = ARGV[2] end
  redis.call("XADD", KEYS[1], entry[1], unpack(fields))
end`

/** Tasks in Redis. */
export const spoilRedis = (prefix: string): Effect.Effect<Spoilable["spoil"], never, Redis.Redis> =>
  Effect.map(Redis.Redis, ({ send }) => (part, text) => {
    const { taskId } = part
    switch (part.part) {
      case "spec":
      case "summary":
      case "input":
        return Effect.orDie(send("HSET", `${prefix}task:${taskId}`, part.part, text))
      case "event":
        return Effect.orDie(send("EVAL", rewrite, "1", `${prefix}events:${taskId}`, `${part.seq}-0`, text))
      case "intent": {
        const intents = `${prefix}intents:${taskId}`
        return Effect.orDie(Effect.flatMap(
          send<string>("HGET", intents, part.key),
          (recorded) => send("HSET", intents, part.key, `${recorded.split(":")[0]}:${text}`)
        ))
      }
    }
  })

/** Messages in Redis. */
export const spoilRedisMessages = (prefix: string): Effect.Effect<SpoilableMessages["spoil"], never, Redis.Redis> =>
  Effect.map(Redis.Redis, ({ send }) => (conversation, message, text) =>
    Effect.orDie(Effect.flatMap(
      send<string>("HGET", `${prefix}positions:${conversation}`, message),
      (position) => send("EVAL", rewrite, "1", `${prefix}messages:${conversation}`, `${position}-0`, text)
    )))
