/**
 * The lists of tasks as scripts. The comment of a script names its arguments in their order.
 */
import { maxOwned } from "@perennial/domain/TaskRecords"
import { taskScript } from "./redisPrelude.ts"
import type { Values } from "./redisTaskScripts.ts"

/** Tasks of a user or of all users, and perhaps of a conversation and an agent, each with a condition of its own. */
const selecting = String.raw`
-- Tasks that an earlier version stored have no index by agent.
local function indexAgents(user)
  if call("SADD", prefix .. "agents-indexed", user) == 0 then return end
  for _, status in ipairs({ "queued", "running", "completed", "error", "cancelled" }) do
    for _, id in ipairs(call("ZRANGE", key("of-user:" .. status, user), 0, -1)) do
      call("ZADD", ofAgent(status, user, call("HGET", key("task", id), "agent_id")), 0, id)
    end
  end
end

local function indexOf(status, user, conversation, agent)
  if conversation ~= "" then return key("of-conversation:" .. status, conversation) end
  if user == "" then
    return agent == "" and prefix .. "recorded:" .. status or key("recorded-of-agent:" .. status, agent)
  end
  if agent == "" then return key("of-user:" .. status, user) end
  indexAgents(user)
  return ofAgent(status, user, agent)
end

local function isChild(id) return id:find(".", 1, true) ~= nil end
local function has(id, name, value) return value == "" or call("HGET", key("task", id), name) == value end

-- Whether a task that an index has is in a list: the index of a conversation has the tasks of all its agents, and a process of a version
-- without indexes of all users, beside this one, does not move and remove what is in them.
local function isListed(status, wanted)
  return function(id)
    if wanted.withoutChildren and isChild(id) then return false end
    if wanted.conversation ~= "" then return has(id, "agent_id", wanted.agent) end
    return wanted.user ~= "" or call("HGET", key("task", id), "status") == status
  end
end

-- The first ids of an index that are wanted, in steps.
local function collect(ids, index, oldest, low, high, limit, isWanted)
  local before, from, step = #ids, 0, math.max(limit, 100)
  repeat
    local found = oldest and call("ZRANGEBYLEX", index, low, high, "LIMIT", from, step)
      or call("ZREVRANGEBYLEX", index, high, low, "LIMIT", from, step)
    for _, id in ipairs(found) do
      if #ids - before < limit and isWanted(id) then table.insert(ids, id) end
    end
    from = from + step
  until #found < step or #ids - before >= limit
end
`

/** The ids of a page: `wanted` is a table of texts, each "" if there is no such condition. */
const paging = String.raw`${selecting}
local function page(wanted, limit, oldest, waiting, statuses)
  local high = wanted.before == "" and "+" or "(" .. wanted.before
  local low = wanted.after == "" and "-" or "(" .. wanted.after
  local ids = {}
  local function isSelected(id)
    return not (wanted.withoutChildren and isChild(id)) and statuses[call("HGET", key("task", id), "status")]
      and has(id, "conversation_id", wanted.conversation) and has(id, "agent_id", wanted.agent) and has(id, "user_id", wanted.user)
  end
  if wanted.runner ~= "" then
    for _, id in ipairs(call("ZRANGE", key("owned", wanted.runner), 0, ${maxOwned - 1})) do
      local isInside = (wanted.before == "" or less(id, wanted.before)) and (wanted.after == "" or less(wanted.after, id))
      local isWanted = isInside and isSelected(id)
      if isWanted and (not waiting or call("ZSCORE", prefix .. "recorded-waiting", id)) then table.insert(ids, id) end
    end
  elseif waiting then
    local index = wanted.user == "" and prefix .. "recorded-waiting" or key("waiting", wanted.user)
    collect(ids, index, oldest, low, high, limit, isSelected)
  else
    for status in pairs(statuses) do
      local index = indexOf(status, wanted.user, wanted.conversation, wanted.agent)
      collect(ids, index, oldest, low, high, limit, isListed(status, wanted))
    end
  end
  table.sort(ids, function(a, b)
    if oldest then return less(a, b) end
    return less(b, a)
  end)
  return ids
end
-- A conversation has one user.
local function userOf(user, conversation)
  if conversation == "" then return user end
  local owner = call("GET", key("owner", conversation))
  return owner and (user == "" or user == owner) and owner or nil
end
`

const listed = String.raw`
local wanted = { user = userOf(ARGV[3], ARGV[4]), conversation = ARGV[4], agent = ARGV[5], before = ARGV[6], after = ARGV[7],
  runner = ARGV[11], withoutChildren = ARGV[12] == "1" }
if not wanted.user then return {} end
local limit, statuses = tonumber(ARGV[8]), {}
for i = 13, #ARGV do statuses[ARGV[i]] = true end
local ids = page(wanted, limit, ARGV[9] == "1", ARGV[10] == "1", statuses)
local rows = {}
`

/** User, conversation or "", agent or "", only smaller ids or "", only larger ids or "", limit, 1 for the oldest first, 1 for what
 * waits, "", 1 without child tasks, statuses. */
export const list = taskScript<ReadonlyArray<Values>>(String.raw`${paging}${listed}
for i = 1, math.min(limit, #ids) do rows[i] = row(ids[i]) end
return rows`)

const isRecorded = String.raw`
if call("EXISTS", prefix .. "recorded") == 0 then return false end
`

/** The arguments of `list`; the user may be "", and the empty text may be a runner. Returns rows with their owners, or null
 * if tasks of an earlier version are not in the indexes. */
export const records = taskScript<ReadonlyArray<readonly [Values, string | null]> | null>(
  String.raw`${paging}${isRecorded}${listed}
for i = 1, math.min(limit, #ids) do rows[i] = { row(ids[i]), call("HGET", key("task", ids[i]), "runner_id") } end
return rows`
)

/** A cursor of keys, 0 at first. Adds some tasks of earlier versions to the indexes of all users, and returns the next cursor. The last step,
 * whose next cursor is 0, notes that the indexes are complete. */
export const recordTasks = taskScript<string>(String.raw`
local escaped = prefix:gsub("[%*%?%[%]%^\\-]", "\\%0")
local found = call("SCAN", ARGV[3], "MATCH", escaped .. "task:*", "COUNT", 1000)
for _, name in ipairs(found[2]) do
  local task = find(name:sub(#prefix + 6))
  if task then
    call("ZADD", prefix .. "recorded:" .. task.status, 0, task.id)
    call("ZADD", key("recorded-of-agent:" .. task.status, task.agent), 0, task.id)
    if call("ZSCORE", key("waiting", task.user), task.id) then call("ZADD", prefix .. "recorded-waiting", 0, task.id) end
  end
end
if found[1] == "0" then call("SET", prefix .. "recorded", 1) end
return found[1]`)

/** Conversation, user, the task before or "". Returns the next task, null if there is none, or 0 if the task before is unknown. */
export const nextTask = taskScript<Values | 0 | null>(String.raw`
local conversation, after = ARGV[3], ARGV[5]
local mine = call("GET", key("owner", conversation)) == ARGV[4]
local index = mine and order(conversation)
local place = after == "" and 0 or mine and tonumber(call("ZSCORE", index, after) or "")
if not place then return 0 end
local id = mine and call("ZRANGEBYSCORE", index, "(" .. place, "+inf", "LIMIT", 0, 1)[1]
return id and row(id) or false`)

const counted = String.raw`
local user, conversation, agent, most = userOf(ARGV[3], ARGV[4]), ARGV[4], ARGV[5], tonumber(ARGV[6])
local wanted = { user = user, conversation = conversation, agent = agent, withoutChildren = ARGV[7] == "1" }
local numbers = {}
local function count(index, isWanted)
  local ids = {}
  if index then collect(ids, index, true, "-", "+", most, isWanted) end
  table.insert(numbers, #ids)
end
for i = 8, #ARGV do
  count(user and indexOf(ARGV[i], user, conversation, agent), isListed(ARGV[i], wanted))
end
count(user and (user == "" and prefix .. "recorded-waiting" or key("waiting", user)), function(id)
  return has(id, "conversation_id", conversation) and has(id, "agent_id", agent)
end)
return numbers`

/** User, conversation or "", agent or "", the largest number, 1 without child tasks, statuses. Returns the number of each status, and of what waits. */
export const counts = taskScript<ReadonlyArray<number>>(String.raw`${paging}${counted}`)

/** The arguments of `counts`, but the user may be "". Returns null if tasks of an earlier version are not in the indexes. */
export const countRecords = taskScript<ReadonlyArray<number> | null>(String.raw`${paging}${isRecorded}${counted}`)

/** User or "", kinds. Returns for each kind the numbers of 60 minutes; the time comes first. */
export const throughput = taskScript<readonly [number, ...ReadonlyArray<ReadonlyArray<number>>]>(String.raw`
local time = now()
local first, answer = math.floor(time / 60000) - 59, { time }
for i = 4, #ARGV do
  local index, numbers = ARGV[3] == "" and prefix .. ARGV[i] or key(ARGV[i], ARGV[3]), {}
  for minute = first, first + 59 do
    table.insert(numbers, call("ZCOUNT", index, minute * 60000, minute * 60000 + 59999))
  end
  table.insert(answer, numbers)
end
return answer`)

/** Limit. Returns live runners: id, end and beginning and renewal of the lease, about, and the numbers of owned and of waiting tasks. */
export const runners = taskScript<
  ReadonlyArray<readonly [string, string, string | null, string | null, string | null, number, number]>
>(String.raw`
local found = call("ZRANGEBYSCORE", prefix .. "runners", "(" .. now(), "+inf")
table.sort(found, less)
local answer = {}
for i = 1, math.min(tonumber(ARGV[3]), #found) do
  local id, waiting = found[i], 0
  local owned = call("ZRANGE", key("owned", id), 0, -1)
  for _, task in ipairs(owned) do
    if call("ZSCORE", prefix .. "recorded-waiting", task) then waiting = waiting + 1 end
  end
  answer[i] = { id, call("ZSCORE", prefix .. "runners", id), call("ZSCORE", prefix .. "leases", id),
    call("ZSCORE", prefix .. "renewals", id), call("HGET", prefix .. "about", id), #owned, waiting }
end
return answer`)
