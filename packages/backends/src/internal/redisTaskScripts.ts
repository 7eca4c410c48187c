/**
 * The methods of the task backend as scripts. The port says what each promises. The comment of a script names its
 * arguments in their order.
 */
import type { AgentId, ConversationId, TaskId } from "@perennial/domain/Ids"
import type { TaskStatus } from "@perennial/domain/Task"
import { columns, taskScript } from "./redisPrelude.ts"

/** The values of `columns` (of `claimColumns` where a task is claimed), null where a field is absent. */
export type Values = ReadonlyArray<string | null>
/** A task that may run: id, conversation, agent, token. */
export type HeadValues = readonly [TaskId, ConversationId, AgentId, string]
/** The cursor of an end, its task, and time and payload of the terminal event, or null once the log was pruned. */
export type EndedValues = readonly [cursor: string, Values, readonly [at: string, payload: string] | null]

/** Task, conversation, user, onBusy, maxQueued, maxActive or "", `=<idempotency key>` or "", request hash, value of a cancel
 * by `interrupt`, its reason as JSON, the payload of `ack`, then fields of the row. */
export const create = taskScript<
  | readonly ["created", Values, 0 | 1, ReadonlyArray<TaskId>, ReadonlyArray<TaskId>]
  | readonly ["existing", Values, 0 | 1]
  | readonly ["busy", TaskId]
  | readonly ["conflict" | "taken" | "foreign" | "full" | "many"]
>(String.raw`
local id, conversation, user, onBusy, most, keyed = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[8]), ARGV[9]
local time = now()

local function existing(task) return { "existing", row(task.id), isUnowned(task, time) and 1 or 0 } end

local before = keyed ~= "" and call("HGET", key("keys", user), keyed)
if before then
  if call("HGET", key("task", before), "request_hash") ~= ARGV[10] then return { "conflict" } end
  return existing(find(before))
end
local same = find(id)
if same then return same.user == user and existing(same) or { "taken" } end
local owner = call("GET", key("owner", conversation))
if owner and owner ~= user then return { "foreign" } end

local queue = key("queue", conversation)
local active = call("LRANGE", queue, 0, -1)
if #active > 0 and onBusy == "reject" then return { "busy", active[1] } end
if #active > 0 and onBusy == "enqueue" and #active > tonumber(ARGV[7]) then return { "full" } end
if most then
  local count = call("ZCARD", key("of-user:queued", user)) + call("ZCARD", key("of-user:running", user))
  for _, other in ipairs(onBusy == "interrupt" and active or {}) do
    if find(other).attempt == 0 then count = count - 1 end
  end
  if count >= most then return { "many" } end
end
local cancelled, cancelling = {}, {}
if onBusy == "interrupt" then
  -- From the back, so that nothing is promoted only to be ended next.
  for i = #active, 1, -1 do
    local task = find(active[i])
    if task.attempt == 0 then
      endUnbegun(task, ARGV[12], time)
      table.insert(cancelled, 1, task.id)
    else
      if not intent(task.id, "cancel") then record(task, "cancel", ARGV[11], time) end
      table.insert(cancelling, 1, task.id)
    end
  end
end
local head = #active == #cancelled

call("SET", key("owner", conversation), user)
call("HSET", key("task", id), "id", id, "conversation_id", conversation, "user_id", user, "status", "queued",
  "token", 0, "attempt", 0, "failures", 0, "last_seq", 1, "intents", 0, "pruned", 0,
  "created_at", time, "updated_at", time, unpack(ARGV, 14))
local accepted = order(conversation)
call("ZADD", accepted, call("ZCARD", accepted) + 1, id)
list(find(id), "queued")
call("XADD", key("events", id), "1-0", "at", time, "payload", ARGV[13])
call("RPUSH", queue, id)
if keyed ~= "" then
  call("HSET", key("keys", user), keyed, id)
  call("HSET", key("task", id), "idempotency", keyed, "request_hash", ARGV[10])
end
if head then offer(find(id), 0) end
wake("user", user)
tell()
return { "created", row(id), head and 1 or 0, cancelled, cancelling }`)

/** Task, `=<user>` or "". Returns null when it is not there, or not that user's. */
export const get = taskScript<Values | null>(String.raw`
local user = call("HGET", key("task", ARGV[3]), "user_id")
return user and (ARGV[4] == "" or ARGV[4] == "=" .. user) and row(ARGV[3]) or false`)

/** Task. Returns null when it is no active head. */
export const head = taskScript<HeadValues | null>(String.raw`
local task = find(ARGV[3])
return task and task.active and isHead(task) and toHead(task.id) or false`)

/** Task, runner, expected token, claim. Returns the time and the row, or null when the claim is lost. */
export const claim = taskScript<readonly [number, Values] | null>(String.raw`
local task, runner, expected, claim = find(ARGV[3]), ARGV[4], tonumber(ARGV[5]), ARGV[6]
local time = now()
if not task or not task.active or not isHead(task) then return false end
-- A claim whose reply was lost.
if task.runner == runner and task.claim == claim and task.token == expected + 1 then
  return { time, claimed(task.id) }
end
if task.token ~= expected or not isUnowned(task, time) then return false end
local fields = key("task", task.id)
if task.runner then
  call("HINCRBY", fields, "failures", 1)
  local alive = call("ZSCORE", prefix .. "renewals", task.runner) or call("HGET", fields, "updated_at")
  call("HSET", fields, "lost_reason", "crash", "lost_at", alive)
else
  -- A release by an earlier version says nothing: what the row has is older than the claim that was released.
  local v = call("HMGET", fields, "lost_at", "claimed_at")
  if v[1] and v[2] and tonumber(v[1]) < tonumber(v[2]) then call("HDEL", fields, "lost_reason", "lost_at") end
end
disown(task)
move(task, "running")
-- A runner without a lease must be found too: its tasks have no live owner.
call("ZADD", prefix .. "runners", "NX", 0, runner)
call("ZADD", key("owned", runner), task.round or 0, task.id)
call("HSET", fields, "runner_id", runner, "claim_id", claim, "token", expected + 1, "attempt", task.attempt + 1,
  "claimed_at", time, "updated_at", time)
if call("HSETNX", fields, "started_at", time) == 1 then tick("begun", task, time) end
wake("user", task.user)
tell()
return { time, claimed(task.id) }`)

/** Again, then for each task: task, token, first seq, progress, the new summary or "", 1 if the summary has calls that wait,
 * count of events, and their times and payloads. Returns for each whether it was appended, and the number of intents. */
export const append = taskScript<ReadonlyArray<number>>(String.raw`
local again, i, results = ARGV[3] == "1", 4, {}
local time = now()
while i <= #ARGV do
  local id, token, first, progress, summary = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3], ARGV[i + 4]
  local waits, count = ARGV[i + 5], tonumber(ARGV[i + 6])
  local task = fenced(id, token)
  -- The try before may have been applied: the log ends with our last event then, under our own token.
  local ok = task and again and task.lastSeq == first + count - 1
  if task and task.lastSeq == first - 1 then
    write(task, i + 7, count, time)
    if summary ~= "" then
      if waits == "1" then wait(task) else waitNoMore(task) end
      call("HSET", key("task", id), "summary", summary)
      wake("user", task.user)
    end
    if progress == "1" then call("HSET", key("task", id), "failures", 0) end
    ok = true
  end
  table.insert(results, ok and 1 or 0)
  table.insert(results, tonumber(call("HGET", key("task", id), "intents") or 0))
  i = i + 7 + 2 * count
end
tell()
return results`)

/** Again, task, token, first seq, status, code and detail of an error or "", count of events, and their times and payloads.
 * Returns the next head, if any, or null when the lease is lost. */
export const finish = taskScript<readonly [HeadValues | null] | null>(String.raw`
local again, id, token, first, status, count = ARGV[3] == "1", ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[10])
local time = now()
local task = fenced(id, token)
if not task or task.lastSeq ~= first - 1 then
  local ended = again and find(id)
  if ended and not ended.active and ended.token == tonumber(token) and ended.lastSeq == first + count - 1 then
    return { promoted(ended, time) }
  end
  return false
end
write(task, 11, count, time)
if status == "error" then call("HSET", key("task", id), "error_code", ARGV[8], "error", ARGV[9]) end
local head = close(task, status, time)
tell()
return { head }`)

/** Task, token, reason, and 1 if other processes get no hint. */
export const release = taskScript<null>(String.raw`
local task = fenced(ARGV[3], ARGV[4])
if not task then return false end
disown(task)
call("HSET", key("task", task.id), "lost_reason", ARGV[5], "lost_at", now())
offer(task, 0)
if ARGV[6] ~= "1" then wake("head", task.id) end
tell()
return false`)

/** Task, after, limit, bytes. */
export const events = taskScript<
  | readonly [
    "page",
    number,
    TaskStatus,
    ConversationId,
    ReadonlyArray<readonly [id: string, at: string, payload: string]>
  ]
  | readonly ["ahead", number]
  | readonly ["missing" | "expired"]
>(String.raw`
local id, after, limit, most = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local v = call("HMGET", key("task", id), "last_seq", "status", "pruned", "conversation_id")
if not v[1] then return { "missing" } end
if v[3] == "1" then return { "expired" } end
local last = tonumber(v[1])
if after > last then return { "ahead", last } end
local found, bytes, full = {}, 0, false
while not full and #found < limit and after + #found < last do
  -- In small steps: a page may be bounded by its bytes long before its limit.
  local step = call("XRANGE", key("events", id), (after + #found + 1) .. "-0", "+", "COUNT", math.min(64, limit - #found))
  for _, entry in ipairs(step) do
    bytes = bytes + #entry[2][4]
    full = bytes > most and #found > 0
    if full then break end
    table.insert(found, { entry[1], entry[2][2], entry[2][4] })
  end
  if #step == 0 then break end
end
return { "page", last, v[2], v[4], found }`)

/** Tasks. Returns a field of each, or null. */
const fieldOf = (field: string) =>
  taskScript<Values>(String.raw`
local values = {}
for i = 3, #ARGV do values[i - 2] = call("HGET", key("task", ARGV[i]), "${field}") end
return values`)

export const lastSeqs = fieldOf("last_seq")
export const owners = fieldOf("runner_id")

/** Runner, milliseconds of the lease, milliseconds after which failures are forgotten, what the runner says about itself or "".
 * Returns the time, and for each owned task its id, token and number of intents. */
export const heartbeat = taskScript<
  readonly [number, ReadonlyArray<readonly [TaskId, string, string]>]
>(String.raw`
local runner, ttl, alive = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local time, owned = now(), {}
local ids = call("ZRANGE", key("owned", runner), 0, -1)
if ttl > 0 then
  call("ZADD", prefix .. "runners", time + ttl, runner)
  call("ZADD", prefix .. "renewals", time, runner)
  call("ZADD", prefix .. "leases", "NX", time, runner)
  if ARGV[6] ~= "" then call("HSET", prefix .. "about", runner, ARGV[6]) end
else
  forgetRunner(runner)
  if #ids > 0 then
    call("ZADD", prefix .. "runners", 0, runner)
    wake("head", ids[1])
  end
end
for i, id in ipairs(ids) do
  local v = call("HMGET", key("task", id), "token", "intents", "failures", "claimed_at")
  if v[3] ~= "0" and time - tonumber(v[4]) > alive then call("HSET", key("task", id), "failures", 0) end
  owned[i] = { id, v[1], v[2] }
end
tell()
return { time, owned }`)

/** Limit, 1 for the heads of all agents, milliseconds after which a head is stale, agents. */
export const unowned = taskScript<ReadonlyArray<HeadValues>>(String.raw`
local limit, every, time = tonumber(ARGV[3]), ARGV[4] == "1", now()
local stale = time - tonumber(ARGV[5])
local known, found, seen = {}, {}, {}
for i = 6, #ARGV do known[ARGV[i]] = true end

local function isWanted(id)
  local v = call("HMGET", key("task", id), "agent_id", "started_at", "updated_at")
  return known[v[1]] or tonumber(v[2] or v[3]) <= stale or intent(id, "cancel")
end
local function add(id, round)
  if seen[id] then return end
  seen[id] = true
  table.insert(found, { id = id, round = tonumber(round), created = tonumber(call("HGET", key("task", id), "created_at")) })
end
-- The first of an index, as many as are wanted, in steps. Returns false when it is empty.
local function collect(index, isSifted)
  local before, from, step = #found, 0, math.max(limit, 100)
  repeat
    local members = call("ZRANGE", index, from, from + step - 1, "WITHSCORES")
    for i = 1, #members, 2 do
      if not isSifted or isWanted(members[i]) then add(members[i], members[i + 1]) end
    end
    from = from + #members / 2
  until #members < 2 * step or #found - before >= limit
  return from > 0
end

if every then
  collect(prefix .. "unowned")
else
  for agent in pairs(known) do collect(key("unowned", agent)) end
  for _, id in ipairs(call("ZRANGEBYSCORE", prefix .. "unowned-since", "-inf", stale, "LIMIT", 0, limit)) do
    if isWanted(id) then add(id, call("ZSCORE", prefix .. "unowned", id)) end
  end
  for _, id in ipairs(call("ZRANGE", prefix .. "cancelling", 0, -1)) do
    local task = find(id)
    if isUnowned(task, time) then add(id, task.round or 0) end
  end
end
for _, runner in ipairs(call("ZRANGEBYSCORE", prefix .. "runners", "-inf", time)) do
  if not collect(key("owned", runner), not every) then forgetRunner(runner) end
end
table.sort(found, function(a, b)
  if a.round ~= b.round then return a.round < b.round end
  if a.created ~= b.created then return a.created < b.created end
  return less(a.id, b.id)
end)
local heads = {}
for i = 1, math.min(limit, #found) do heads[i] = toHead(found[i].id) end
return heads`)

/** Again, task, `=<user>` or "", key, value, 1 if it is a cancel, its reason as JSON or "". */
export const putIntent = taskScript<readonly [0 | 1, string | null, Values, HeadValues | null] | null>(String.raw`
local again, id, name, value = ARGV[3] == "1", ARGV[4], ARGV[6], ARGV[7]
local time = now()
local task = find(id)
if not task or (ARGV[5] ~= "" and ARGV[5] ~= "=" .. task.user) then return false end
local before = intent(id, name)
if before or not task.active then
  local mine = again and before == value
  return { mine and 1 or 0, before, row(id), mine and not task.active and promoted(task, time) or false }
end
record(task, name, value, time)
local head = ARGV[8] == "1" and task.attempt == 0 and endUnbegun(task, ARGV[9], time)
tell()
return { 1, value, row(id), head }`)

/** Task. Returns keys and `<ordinal>:<value>` by turns. */
export const intents = taskScript<ReadonlyArray<string>>(`return call("HGETALL", key("intents", ARGV[3]))`)

/** After, limit. */
export const ended = taskScript<ReadonlyArray<EndedValues>>(String.raw`
local found = call("ZRANGEBYSCORE", prefix .. "ends", "(" .. ARGV[3], "+inf", "WITHSCORES", "LIMIT", 0, ARGV[4])
local ends = {}
for i = 1, #found, 2 do
  local id, cursor = found[i], found[i + 1]
  -- Of a pruned log nothing is left.
  local last = call("XREVRANGE", key("events", id), "+", "-", "COUNT", 1)[1]
  table.insert(ends, { cursor, row(id), last and { last[2][2], last[2][4] } or false })
end
return ends`)

/** Milliseconds since the end, limit. Returns ids and specs, by turns, of tasks whose logs may be removed. */
export const prunable = taskScript<ReadonlyArray<string>>(String.raw`
local ids = call("ZRANGEBYSCORE", prefix .. "ended", "-inf", now() - tonumber(ARGV[3]), "LIMIT", 0, ARGV[4])
local found = {}
for _, id in ipairs(ids) do
  table.insert(found, id)
  table.insert(found, row(id)[${columns.indexOf("spec") + 1}])
end
return found`)

/** Ids and remaining specs by turns. Returns the number of removed logs. */
export const prune = taskScript<number>(String.raw`
local count = 0
for i = 3, #ARGV, 2 do
  local id = ARGV[i]
  -- Not if another process has pruned or deleted the task meanwhile.
  if call("ZREM", prefix .. "ended", id) == 1 then
    call("UNLINK", key("events", id), key("intents", id))
    -- The message is in the conversation, too.
    call("HSET", key("task", id), "pruned", 1, "input", "", "spec", ARGV[i + 1])
    call("HDEL", key("task", id), "user_metadata", "metadata", "replaces", "log_context")
    count = count + 1
  end
end
return count`)
