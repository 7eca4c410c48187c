/**
 * The methods of the conversation store as scripts. The comment of a script names its arguments in their order.
 *
 * Keys after the prefix: `conversation:<id>` (hash), `messages:<id>` (stream, the position is the entry's id),
 * `positions:<id>` position of each message, negative once the message was removed (hash), `replaced:<id>` the removed
 * messages by their positions, `words:<id>` the words by
 * which the conversation is found (sorted set), `conversations:<user>` ids by the time of creation, `active:<user>` ids by the time of the
 * last change (sorted sets), `unsearched:<user>` ids of conversations that an earlier version stored without their words (set),
 * `searched:<user>` exists if that set has been made, or is not needed.
 */
import type { ConversationId, MessageId } from "@perennial/domain/Ids"
import { conversationScript } from "./redisPrelude.ts"

/** Id, title, preview, times of creation and of the last change. */
export type ConversationValues = readonly [ConversationId, string | null, string | null, string, string]

const row = String.raw`
local function row(id) return call("HMGET", key("conversation", id), "id", "title", "preview", "created_at", "updated_at") end
local function isOf(id, user) return call("HGET", key("conversation", id), "user_id") == user end
local function addWords(id, words)
  for word in words:gmatch("%S+") do call("ZADD", key("words", id), 0, word) end
end
-- Whether a conversation has words that begin with each of ARGV from index first on.
local function hasWords(id, first)
  for i = first, #ARGV do
    local prefix = ARGV[i]
    if not call("ZRANGEBYLEX", key("words", id), "[" .. prefix, "(" .. prefix .. "\244\143\191\191", "LIMIT", 0, 1)[1] then
      return false
    end
  end
  return true
end
local function touch(id, ...)
  local time = now()
  call("HSET", key("conversation", id), "updated_at", time, ...)
  call("ZADD", key("active", call("HGET", key("conversation", id), "user_id")), time, id)
end
`

/** Conversation, user. Returns null when it is another user's. */
export const create = conversationScript<ConversationValues | null>(String.raw`${row}
local id, user = ARGV[3], ARGV[4]
if isOf(id, user) then return row(id) end
if call("EXISTS", key("conversation", id)) == 1 then return false end
local time = now()
if call("EXISTS", key("conversations", user)) == 0 then call("SET", key("searched", user), 1) end
call("HSET", key("conversation", id), "id", id, "user_id", user, "created_at", time, "updated_at", time, "position", 0)
call("ZADD", key("conversations", user), time, id)
call("ZADD", key("active", user), time, id)
return row(id)`)

/** Conversation, user. */
export const get = conversationScript<ConversationValues | null>(
  `${row} return isOf(ARGV[3], ARGV[4]) and row(ARGV[3]) or false`
)

/** User, id and time of the last conversation of the page before or "", limit, 1 for the order of the last change, how many
 * conversations are looked at for words, 1 with those of child tasks, and the beginnings of the words that a conversation must have. */
export const list = conversationScript<ReadonlyArray<ConversationValues>>(String.raw`${row}
local id, created, limit = ARGV[4], ARGV[5], tonumber(ARGV[6])
local index = key("conversations", ARGV[3])
if ARGV[7] == "1" then
  local all = index
  index = key("active", ARGV[3])
  -- Conversations that an earlier version stored.
  if call("ZCARD", index) < call("ZCARD", all) then
    for _, other in ipairs(call("ZRANGE", all, 0, -1)) do
      call("ZADD", index, call("HGET", key("conversation", other), "updated_at"), other)
    end
  end
end
local function isWanted(other) return (ARGV[9] == "1" or other:sub(1, 1) ~= "~") and hasWords(other, 10) end
local rows, oldest = {}, "+inf"
if id ~= "" then
  -- The place of a deleted conversation is between those of its moment.
  for _, other in ipairs(call("ZREVRANGEBYSCORE", index, created, created)) do
    if #rows < limit and less(other, id) and isWanted(other) then table.insert(rows, other) end
  end
  oldest = "(" .. created
end
-- Only a search is bounded.
local from, most = 0, #ARGV > 9 and tonumber(ARGV[8]) or math.huge
while #rows < limit and from < most do
  local step = math.min(most - from, math.max(limit, 100))
  local found = call("ZREVRANGEBYSCORE", index, oldest, "-inf", "LIMIT", from, step)
  for _, other in ipairs(found) do
    if #rows < limit and isWanted(other) then table.insert(rows, other) end
  end
  if #found < step then break end
  from = from + step
end
for i, other in ipairs(rows) do rows[i] = row(other) end
return rows`)

/** User, limit. Returns conversations without their words. */
export const unsearched = conversationScript<ReadonlyArray<ConversationId>>(String.raw`
local user, made = ARGV[3], key("unsearched", ARGV[3])
if call("EXISTS", key("searched", user)) == 0 then
  for _, id in ipairs(call("ZRANGE", key("conversations", user), 0, -1)) do call("SADD", made, id) end
  if call("EXISTS", key("conversations", user)) == 1 then call("SET", key("searched", user), 1) end
end
return call("SRANDMEMBER", made, ARGV[4])`)

/** Conversation, user, the time of its creation or "", words. */
export const addEarlierWords = conversationScript<number>(String.raw`${row}
local id, user = ARGV[3], ARGV[4]
if isOf(id, user) and call("HGET", key("conversation", id), "created_at") == ARGV[5] then addWords(id, ARGV[6]) end
return call("SREM", key("unsearched", user), id)`)

/** Conversation, user, last id of the page before or "", limit. Returns positions and payloads, or null without the
 * conversation. */
export const messages = conversationScript<ReadonlyArray<readonly [position: string, payload: string]> | null>(
  String.raw`${row}
local id, after = ARGV[3], ARGV[5]
if not isOf(id, ARGV[4]) then return false end
local position = after == "" and 0 or tonumber(call("HGET", key("positions", id), after) or "")
if not position then return {} end
local page = call("XRANGE", key("messages", id), (math.abs(position) + 1) .. "-0", "+", "COUNT", ARGV[6])
for i, entry in ipairs(page) do page[i] = { entry[1]:match("^%d+"), entry[2][2] } end
return page`
)

/** Conversation, user, last id of the page before or "", limit. Returns positions and payloads, newest first, or null without
 * the conversation. */
export const newestMessages = conversationScript<ReadonlyArray<readonly [position: string, payload: string]> | null>(
  String.raw`${row}
local id, after = ARGV[3], ARGV[5]
if not isOf(id, ARGV[4]) then return false end
local position = after ~= "" and tonumber(call("HGET", key("positions", id), after) or "")
if after ~= "" and not position then return {} end
local from = position and "(" .. math.abs(position) .. "-0" or "+"
local page = call("XREVRANGE", key("messages", id), from, "-", "COUNT", ARGV[6])
for i, entry in ipairs(page) do page[i] = { entry[1]:match("^%d+"), entry[2][2] } end
return page`
)

/** Conversation, user, last id of the page before or "", limit. Returns negative positions and payloads of messages that were
 * replaced, oldest first, or null without the conversation. */
export const replaced = conversationScript<ReadonlyArray<readonly [position: string, payload: string]> | null>(
  String.raw`${row}
local id, after = ARGV[3], ARGV[5]
if not isOf(id, ARGV[4]) then return false end
local position = after == "" and 0 or tonumber(call("HGET", key("positions", id), after) or "")
if not position then return {} end
local found = call("ZRANGEBYSCORE", key("replaced", id), "(" .. math.abs(position), "+inf", "WITHSCORES", "LIMIT", 0, ARGV[6])
local page = {}
for i = 1, #found, 2 do page[#page + 1] = { "-" .. found[i + 1], found[i] } end
return page`
)

/** Conversation, positions. Returns them with the ids of the messages at these places. */
export const idsAt = conversationScript<ReadonlyArray<readonly [position: string, id: MessageId]>>(String.raw`
local wanted, found = {}, {}
for i = 4, #ARGV do wanted[ARGV[i]] = true end
local all = call("HGETALL", key("positions", ARGV[3]))
for i = 1, #all, 2 do
  if wanted[all[i + 1]] then table.insert(found, { all[i + 1], all[i] }) end
end
return found`)

/** Conversation, the message to replace or "", the message to follow or "", the preview or "", words, then ids and payloads of messages
 * by turns. Returns 0 without the conversation, and if it never had the message to follow. */
export const append = conversationScript<0 | 1>(String.raw`${row}
local id, positions = ARGV[3], key("positions", ARGV[3])
local position = call("HGET", key("conversation", id), "position")
if not position then return 0 end
if ARGV[5] ~= "" and call("HEXISTS", positions, ARGV[5]) == 0 then return 0 end
local from = ARGV[4] ~= "" and tonumber(call("HGET", positions, ARGV[4]) or "")
if from and from > 0 then
  local all = call("HGETALL", positions)
  for i = 1, #all, 2 do
    local at = tonumber(all[i + 1])
    if at and at >= from then
      local entry = call("XRANGE", key("messages", id), at .. "-0", at .. "-0")[1]
      if entry then call("ZADD", key("replaced", id), at, entry[2][2]) end
      call("XDEL", key("messages", id), at .. "-0")
      call("HSET", positions, all[i], -at)
    end
  end
end
addWords(id, ARGV[7])
for i = 8, #ARGV, 2 do
  if call("HSETNX", positions, ARGV[i], position + 1) == 1 then
    position = position + 1
    call("XADD", key("messages", id), position .. "-0", "payload", ARGV[i + 1])
  end
end
touch(id, "position", position)
if ARGV[6] ~= "" then call("HSET", key("conversation", id), "preview", ARGV[6]) end
return 1`)

/** Conversation, title, 1 if a person has chosen it, words. Returns 0 without the conversation. */
export const setTitle = conversationScript<0 | 1>(String.raw`${row}
if call("EXISTS", key("conversation", ARGV[3])) == 0 then return 0 end
local chosen = ARGV[5] == "1"
if not chosen and call("HEXISTS", key("conversation", ARGV[3]), "title_chosen") == 1 then return 1 end
touch(ARGV[3], "title", ARGV[4])
addWords(ARGV[3], ARGV[6])
if chosen then call("HSET", key("conversation", ARGV[3]), "title_chosen", 1) end
return 1`)

/** Conversation, user, 1 to leave one with messages alone. Returns the number of removed messages, or null without the
 * conversation. */
export const remove = conversationScript<number | null>(String.raw`${row}
local id, user = ARGV[3], ARGV[4]
if not isOf(id, user) then return false end
if ARGV[5] == "1" and call("HGET", key("conversation", id), "position") ~= "0" then return 0 end
local messages = call("XLEN", key("messages", id)) + call("ZCARD", key("replaced", id))
call("ZREM", key("conversations", user), id)
call("ZREM", key("active", user), id)
call("SREM", key("unsearched", user), id)
if call("EXISTS", key("conversations", user)) == 0 then call("UNLINK", key("searched", user)) end
call("UNLINK", key("conversation", id), key("messages", id), key("positions", id), key("replaced", id), key("words", id))
return messages`)
