/**
 * The beginning of every script: keys, the store's clock, and the steps that several scripts share.
 *
 * A script is one atomic step: Redis runs one script at a time. Scripts make their keys from the prefix (their first
 * argument), so all keys are on one primary; Redis Cluster is not supported. A number that is stored or returned is an
 * integer below 2^53.
 *
 * Keys after the prefix: `task:<id>` the row (hash), `events:<id>` its log (stream, the seq is the entry's id),
 * `intents:<id>` (hash of `<ordinal>:<value>`), `owner:<conversation>` its user, `queue:<conversation>` its active
 * tasks, the head first (list), `of-user:<status>:<user>`, `of-agent:<status>:<user>\0<agent>`,
 * `of-conversation:<status>:<conversation>`, `order:<conversation>` ids by the number of the acceptance, and `waiting:<user>` ids in order,
 * `recorded:<status>`, `recorded-of-agent:<status>:<agent>` and `recorded-waiting` the ids of all users in order, `begun` and
 * `finished-<status>` ids by the time of the last hour, of all users and `:<user>` of one,
 * `keys:<user>` idempotency keys (hash), `unowned` heads without an owner by age, `unowned:<agent>` the same of one agent,
 * `cancelling` claimed tasks that were asked to cancel by age, `owned:<runner>` tasks by age, `runners` by the end of
 * their lease, `renewals` runners by the last renewal of their lease, `leases` runners by the
 * beginning of their lease, `about` what they say about themselves (hash), `ended` tasks with a log by the time of their end, `ends` all ended tasks in the order of their ends (sorted
 * sets), `ends-count` the number of ends so far, `wakes` hints (stream).
 */
import { Effect } from "effect"
import type { Redis } from "effect/persistence"
import type { Send } from "./redisRetry.ts"

/** Hints that are kept for processes that read them late. */
const wakesKept = 10_000

/** How long the time of a beginning or an end is kept: an hour of whole minutes. */
const tickMillis = 61 * 60_000

/** The fields of a task's row, in the order that most scripts return them. */
export const columns = [
  "id",
  "conversation_id",
  "user_id",
  "agent_id",
  "status",
  "error_code",
  "error",
  "spec",
  "summary",
  "request_hash",
  "token",
  "attempt",
  "last_seq",
  "intents",
  "created_at",
  "updated_at",
  "started_at",
  "finished_at"
] as const

/** The fields that a claim returns. The body of a message may have megabytes: only its owner needs it. */
export const claimColumns = [
  ...columns,
  "input",
  "failures",
  "lost_reason",
  "lost_at"
] as const

const names = (fields: ReadonlyArray<string>) => fields.map((name) => `"${name}"`).join(", ")

const keys = String.raw`
local prefix, origin = ARGV[1], ARGV[2]
local call = redis.call

local function key(kind, id) return prefix .. kind .. ":" .. id end

-- Milliseconds.
local function now()
  local time = call("TIME")
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The order of bytes; Lua compares strings by the locale of the server.
local function less(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end
`

const tasks = String.raw`
-- A row of an earlier version has a field for each part of its spec.
local function olderSpec(id)
  local v = call("HMGET", key("task", id), "user_metadata", "metadata", "replaces", "log_context")
  local parts = {}
  if v[1] then table.insert(parts, '"userMetadata":' .. v[1]) end
  if v[2] then table.insert(parts, '"metadata":' .. v[2]) end
  if v[3] then table.insert(parts, '"replaces":' .. cjson.encode(v[3])) end
  if v[4] then table.insert(parts, '"logContext":' .. v[4]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function withSpec(id, values)
  values[${columns.indexOf("spec") + 1}] = values[${columns.indexOf("spec") + 1}] or olderSpec(id)
  return values
end
local function row(id) return withSpec(id, call("HMGET", key("task", id), ${names(columns)})) end
local function claimed(id) return withSpec(id, call("HMGET", key("task", id), ${names(claimColumns)})) end

local function find(id)
  local v = call("HMGET", key("task", id), "conversation_id", "user_id", "status", "token", "attempt", "runner_id",
    "last_seq", "created_at", "agent_id", "claim_id", "round")
  if not v[1] then return nil end
  return { id = id, conversation = v[1], user = v[2], status = v[3], token = tonumber(v[4]), attempt = tonumber(v[5]),
    runner = v[6], lastSeq = tonumber(v[7]), created = v[8], agent = v[9], claim = v[10], round = v[11], active = v[3] == "queued" or v[3] == "running" }
end

local wakes = {}
local function tell()
  if #wakes == 0 then return end
  call("XADD", prefix .. "wakes", "MAXLEN", "~", ${wakesKept}, "*", "origin", origin, unpack(wakes))
  wakes = {}
end
local function wake(kind, id)
  table.insert(wakes, kind)
  table.insert(wakes, id)
  if #wakes >= 1000 then tell() end
end

local function isHead(task) return call("LINDEX", key("queue", task.conversation), 0) == task.id end

local function isLive(runner, time)
  local expires = call("ZSCORE", prefix .. "runners", runner)
  return expires and tonumber(expires) > time
end

local function isUnowned(task, time)
  return task.active and isHead(task) and not (task.runner and isLive(task.runner, time))
end

-- The task, if this is its owner's token (P9).
local function fenced(id, token)
  local task = find(id)
  return task and task.active and task.runner and task.token == tonumber(token) and task or nil
end

local function disown(task)
  if task.runner then
    call("ZREM", key("owned", task.runner), task.id)
    call("HDEL", key("task", task.id), "runner_id")
  end
  call("ZREM", prefix .. "unowned", task.id)
  call("ZREM", key("unowned", task.agent), task.id)
  call("ZREM", key("unowned-of-user", task.user), task.id)
  call("ZREM", prefix .. "unowned-since", task.id)
end

-- A head without an owner waits for one. A new head gets the next round of its user, and is behind the oldest round.
local function offer(task, behind)
  if not task.round then
    local oldest = call("ZRANGE", prefix .. "unowned", 0, 0, "WITHSCORES")[2]
    local last = call("ZRANGE", key("unowned-of-user", task.user), -1, -1, "WITHSCORES")[2]
    task.round = math.max(oldest and tonumber(oldest) + behind or 0, last and tonumber(last) + 1 or 0)
    call("HSET", key("task", task.id), "round", task.round)
  end
  call("ZADD", prefix .. "unowned", task.round, task.id)
  call("ZADD", key("unowned", task.agent), task.round, task.id)
  call("ZADD", key("unowned-of-user", task.user), task.round, task.id)
  call("ZADD", prefix .. "unowned-since", task.created, task.id)
end

-- The tasks of a user with an agent.
local function ofAgent(status, user, agent) return key("of-agent:" .. status, user .. "\0" .. agent) end

local function list(task, status)
  call("ZADD", prefix .. "recorded:" .. status, 0, task.id)
  call("ZADD", key("recorded-of-agent:" .. status, task.agent), 0, task.id)
  call("ZADD", key("of-user:" .. status, task.user), 0, task.id)
  call("ZADD", ofAgent(status, task.user, task.agent), 0, task.id)
  call("ZADD", key("of-conversation:" .. status, task.conversation), 0, task.id)
end

local function unlist(task, status)
  call("ZREM", prefix .. "recorded:" .. status, task.id)
  call("ZREM", key("recorded-of-agent:" .. status, task.agent), task.id)
  call("ZREM", key("of-user:" .. status, task.user), task.id)
  call("ZREM", ofAgent(status, task.user, task.agent), task.id)
end

-- Something happened to the task in the last hour: for the throughput.
local function tick(kind, task, time)
  for _, index in ipairs({ prefix .. kind, key(kind, task.user) }) do
    call("ZADD", index, time, task.id)
    call("ZREMRANGEBYSCORE", index, "-inf", time - ${tickMillis})
    call("PEXPIRE", index, ${tickMillis})
  end
end

local function wait(task)
  call("ZADD", key("waiting", task.user), 0, task.id)
  call("ZADD", prefix .. "recorded-waiting", 0, task.id)
end
local function waitNoMore(task)
  call("ZREM", key("waiting", task.user), task.id)
  call("ZREM", prefix .. "recorded-waiting", task.id)
end

local function forgetRunner(runner)
  for _, index in ipairs({ "runners", "renewals", "leases" }) do call("ZREM", prefix .. index, runner) end
  call("HDEL", prefix .. "about", runner)
end

-- The tasks of a conversation in the order of acceptance. Those that an earlier version stored are added, in the order of their times.
local function order(conversation)
  local index = key("order", conversation)
  local statuses, count = { "queued", "running", "completed", "error", "cancelled" }, call("ZCARD", key("order", conversation))
  for _, status in ipairs(statuses) do count = count - call("ZCARD", key("of-conversation:" .. status, conversation)) end
  if count == 0 then return index end
  local found = {}
  for _, status in ipairs(statuses) do
    for _, id in ipairs(call("ZRANGE", key("of-conversation:" .. status, conversation), 0, -1)) do
      if not call("ZSCORE", index, id) then
        table.insert(found, { id = id, created = tonumber(call("HGET", key("task", id), "created_at")) })
      end
    end
  end
  table.sort(found, function(a, b)
    if a.created ~= b.created then return a.created < b.created end
    return less(a.id, b.id)
  end)
  count = call("ZCARD", index)
  for i, one in ipairs(found) do call("ZADD", index, count + i, one.id) end
  return index
end

local function move(task, status)
  if task.status == status then return end
  unlist(task, task.status)
  call("ZREM", key("of-conversation:" .. task.status, task.conversation), task.id)
  list(task, status)
  call("HSET", key("task", task.id), "status", status)
end

-- Appends count events, whose times and payloads follow each other in ARGV from index i.
local function write(task, i, count, time)
  for n = 1, count do
    call("XADD", key("events", task.id), (task.lastSeq + n) .. "-0", "at", ARGV[i], "payload", ARGV[i + 1])
    i = i + 2
  end
  call("HSET", key("task", task.id), "last_seq", task.lastSeq + count, "updated_at", time)
  wake("log", task.id)
end

local function toHead(id)
  local v = call("HMGET", key("task", id), "conversation_id", "agent_id", "token")
  return { id, v[1], v[2], v[3] }
end

-- Ends a task and makes the next one of its conversation the head, which is returned.
local function close(task, status, time)
  local wasHead = isHead(task)
  wake("user", task.user)
  disown(task)
  move(task, status)
  call("HSET", key("task", task.id), "finished_at", time, "updated_at", time)
  call("ZADD", prefix .. "ended", time, task.id)
  -- Scripts run one at a time, so this is the order of the ends.
  call("ZADD", prefix .. "ends", call("INCR", prefix .. "ends-count"), task.id)
  call("ZREM", prefix .. "cancelling", task.id)
  waitNoMore(task)
  tick("finished-" .. status, task, time)
  call("LREM", key("queue", task.conversation), 1, task.id)
  local following = wasHead and call("LINDEX", key("queue", task.conversation), 0)
  if not following then return false end
  call("HSET", key("task", following), "updated_at", time)
  offer(find(following), 1)
  return toHead(following)
end

-- The head that an earlier try promoted, if it has no owner yet.
local function promoted(task, time)
  local id = call("LINDEX", key("queue", task.conversation), 0)
  local head = id and find(id)
  return head and isUnowned(head, time) and toHead(id) or false
end

-- Ends a task that was never claimed: it has no owner that could write to its log.
local function endUnbegun(task, reason, time)
  local payload = '{"type":"cancelled"' .. (reason == "" and "" or ',"reason":' .. reason) .. '}'
  call("XADD", key("events", task.id), (task.lastSeq + 1) .. "-0", "at", time, "payload", payload)
  call("HSET", key("task", task.id), "last_seq", task.lastSeq + 1)
  wake("log", task.id)
  return close(task, "cancelled", time)
end

local function intent(id, name)
  local value = call("HGET", key("intents", id), name)
  return value and value:sub(value:find(":", 1, true) + 1)
end

local function record(task, name, value, time)
  local ordinal = call("HINCRBY", key("task", task.id), "intents", 1)
  call("HSET", key("intents", task.id), name, ordinal .. ":" .. value)
  call("HSET", key("task", task.id), "updated_at", time)
  if name == "cancel" then call("ZADD", prefix .. "cancelling", task.created, task.id) end
  wake("intent", task.id)
end
`

/** An argument of a script. */
export type Argument = string | number

/** A script with its result. The script makes its keys itself, so it is given none. */
export interface Script<A> {
  readonly lua: string
  readonly result?: A
}

/** Names of loaded scripts: the name of a script is the same on every server. */
const loaded = new Map<string, string>()

const isUnknown = ({ cause }: Redis.RedisError) => String(cause).includes("NOSCRIPT")

/** Runs a script on the keys under one prefix. `origin` marks the hints that this process causes. */
export const make = (
  send: Send,
  { origin, prefix }: { readonly prefix: string; readonly origin: string }
) =>
<A>({ lua }: Script<A>, args: ReadonlyArray<Argument>): Effect.Effect<A, Redis.RedisError> => {
  const evaluate = (name: string) => send<A>("EVALSHA", name, "0", prefix, origin, ...args.map(String))
  const load = Effect.tap(send<string>("SCRIPT", "LOAD", lua), (name) => Effect.sync(() => loaded.set(lua, name)))
  const afterLoading = Effect.flatMap(load, evaluate)
  const name = loaded.get(lua)
  return name === undefined
    ? afterLoading
    : Effect.catchIf(evaluate(name), isUnknown, () => afterLoading)
}

export type RunScript = ReturnType<typeof make>

/** A script over tasks. Its own arguments begin at `ARGV[3]`. */
export const taskScript = <A>(lua: string): Script<A> => ({ lua: `${keys}${tasks}${lua}` })

/** A script over conversations. Its own arguments begin at `ARGV[3]`. */
export const conversationScript = <A>(lua: string): Script<A> => ({ lua: `${keys}${lua}` })
