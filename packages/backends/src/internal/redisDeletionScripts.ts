/**
 * The deletion of tasks, and of what is left of a user, as scripts. The comment of a script names its arguments in their order.
 */
import type { TaskId } from "@perennial/domain/Ids"
import { taskScript } from "./redisPrelude.ts"

/** Conversation, user. Returns the task that is active, or the numbers of removed tasks, events and intents. */
export const deleteConversation = taskScript<
  | readonly ["busy", TaskId]
  | readonly ["removed", tasks: number, events: number, intents: number]
>(String.raw`
local conversation, user = ARGV[3], ARGV[4]
local tasks, events, intents = 0, 0, 0
if call("GET", key("owner", conversation)) ~= user then return { "removed", 0, 0, 0 } end
local head = call("LINDEX", key("queue", conversation), 0)
if head then return { "busy", head } end
for _, status in ipairs({ "completed", "error", "cancelled" }) do
  local index = key("of-conversation:" .. status, conversation)
  for _, id in ipairs(call("ZRANGE", index, 0, -1)) do
    local keyed = call("HGET", key("task", id), "idempotency")
    if keyed then call("HDEL", key("keys", user), keyed) end
    local task = find(id)
    unlist(task, status)
    for _, kind in ipairs({ "begun", "finished-" .. status }) do
      call("ZREM", prefix .. kind, id)
      call("ZREM", key(kind, user), id)
    end
    call("ZREM", prefix .. "ended", id)
    call("ZREM", prefix .. "ends", id)
    tasks = tasks + 1
    events = events + call("XLEN", key("events", id))
    intents = intents + call("HLEN", key("intents", id))
    call("UNLINK", key("task", id), key("events", id), key("intents", id))
  end
  call("DEL", index)
end
call("DEL", key("owner", conversation), key("order", conversation))
return { "removed", tasks, events, intents }`)

/**
 * User. Hints have ids of users, and an entry that is removed from a stream stays in its memory: the stream is made anew. It begins
 * with `all` in place of its last entry, for processes that have not read so far.
 */
export const forgetUser = taskScript<null>(String.raw`
call("SREM", prefix .. "agents-indexed", ARGV[3])
local last = call("XREVRANGE", prefix .. "wakes", "+", "-", "COUNT", 1)[1]
if not last then return false end
call("UNLINK", prefix .. "wakes")
call("XADD", prefix .. "wakes", last[1], "origin", "", "all", "")
return false`)
