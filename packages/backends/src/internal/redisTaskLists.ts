/**
 * The lists of tasks as scripts. The comment of a script names its arguments in their order.
 */
import { taskScript } from "./redisPrelude.ts"
import type { Values } from "./redisTaskScripts.ts"

/** Tasks of a user, and perhaps of a conversation and an agent, each with a condition of its own. */
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
  if agent == "" then return key("of-user:" .. status, user) end
  indexAgents(user)
  return ofAgent(status, user, agent)
end

local function has(id, name, value) return value == "" or call("HGET", key("task", id), name) == value end

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

/** User, conversation or "", agent or "", only smaller ids or "", only larger ids or "", limit, 1 for the oldest first, 1 for what
 * waits, statuses. */
export const list = taskScript<ReadonlyArray<Values>>(String.raw`${selecting}
local user, conversation, agent, limit, oldest = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[8]), ARGV[9] == "1"
if conversation ~= "" and call("GET", key("owner", conversation)) ~= user then return {} end
local high = ARGV[6] == "" and "+" or "(" .. ARGV[6]
local low = ARGV[7] == "" and "-" or "(" .. ARGV[7]
local ids, statuses = {}, {}
for i = 11, #ARGV do statuses[ARGV[i]] = true end
if ARGV[10] == "1" then
  collect(ids, key("waiting", user), oldest, low, high, limit, function(id)
    return statuses[call("HGET", key("task", id), "status")] and has(id, "conversation_id", conversation)
      and has(id, "agent_id", agent)
  end)
else
  -- The index of a conversation has the tasks of all its agents.
  local isWanted = function(id) return conversation == "" or has(id, "agent_id", agent) end
  for status in pairs(statuses) do
    collect(ids, indexOf(status, user, conversation, agent), oldest, low, high, limit, isWanted)
  end
end
table.sort(ids, function(a, b)
  if oldest then return less(a, b) end
  return less(b, a)
end)
local rows = {}
for i = 1, math.min(limit, #ids) do rows[i] = row(ids[i]) end
return rows`)

/** Conversation, user, the task before or "". Returns the next task, null if there is none, or 0 if the task before is unknown. */
export const nextTask = taskScript<Values | 0 | null>(String.raw`
local conversation, after = ARGV[3], ARGV[5]
local mine = call("GET", key("owner", conversation)) == ARGV[4]
local index = mine and order(conversation)
local place = after == "" and 0 or mine and tonumber(call("ZSCORE", index, after) or "")
if not place then return 0 end
local id = mine and call("ZRANGEBYSCORE", index, "(" .. place, "+inf", "LIMIT", 0, 1)[1]
return id and row(id) or false`)

/** User, conversation or "", agent or "", the largest number, statuses. Returns the number of each status, and of what waits. */
export const counts = taskScript<ReadonlyArray<number>>(String.raw`${selecting}
local user, conversation, agent, most = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local foreign = conversation ~= "" and call("GET", key("owner", conversation)) ~= user
local numbers = {}
local function count(index, isWanted)
  local ids = {}
  if not foreign then collect(ids, index, true, "-", "+", most, isWanted) end
  table.insert(numbers, #ids)
end
for i = 7, #ARGV do
  count(indexOf(ARGV[i], user, conversation, agent), function(id) return conversation == "" or has(id, "agent_id", agent) end)
end
count(key("waiting", user), function(id) return has(id, "conversation_id", conversation) and has(id, "agent_id", agent) end)
return numbers`)
