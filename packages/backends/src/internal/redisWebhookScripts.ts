/**
 * The methods of the webhook store as scripts. The comment of a script names its arguments in their order.
 *
 * Keys after the prefix: `webhook:<id>` (hash), `webhooks:<user>` ids by the time of creation (sorted set), `delivery:<webhook>/<id>`
 * a message (hash), `deliveries:<webhook>` ids of its messages by the time of creation (sorted set), `webhook-due` messages by the
 * time when they are due (sorted set), `webhook-cursor` the cursor of the ends that were turned into messages.
 */
import { conversationScript } from "./redisPrelude.ts"

/** Id, user, settings, time of creation, time and reason of the end of service. */
export type WebhookValues = readonly [string, string, string, string, string | null, string | null]

const shared = String.raw`
local due = prefix .. "webhook-due"
local function webhook(id)
  return call("HMGET", key("webhook", id), "id", "user_id", "settings", "created_at", "disabled_at", "disabled_reason")
end
local function isOf(id, user) return call("HGET", key("webhook", id), "user_id") == user end
local function isEnabled(v) return v[1] and not v[5] end

-- Webhook, id, body, and user and trace or "" of each message follow each other in ARGV from index i.
local function enqueue(i, time)
  while i <= #ARGV do
    local id, name = ARGV[i], ARGV[i] .. "/" .. ARGV[i + 1]
    if isEnabled(webhook(id)) and call("EXISTS", key("delivery", name)) == 0 then
      call("HSET", key("delivery", name), "webhook_id", id, "id", ARGV[i + 1], "body", ARGV[i + 2], "attempts", 0,
        "created_at", time)
      if ARGV[i + 3] ~= "" then call("HSET", key("delivery", name), "user_id", ARGV[i + 3]) end
      if ARGV[i + 4] ~= "" then call("HSET", key("delivery", name), "traceparent", ARGV[i + 4]) end
      call("ZADD", key("deliveries", id), time, ARGV[i + 1])
      call("ZADD", due, time, name)
    end
    i = i + 5
  end
end
local function forget(id, message)
  call("UNLINK", key("delivery", id .. "/" .. message))
  call("ZREM", key("deliveries", id), message)
  call("ZREM", due, id .. "/" .. message)
end
`

const script = <A>(lua: string) => conversationScript<A>(`${shared}${lua}`)

/** Webhook, user, settings. */
export const put = script<unknown>(String.raw`
local id, user, time = ARGV[3], ARGV[4], now()
local known = call("HGET", key("webhook", id), "user_id")
if known and known ~= user then return 0 end
if not known then
  call("HSET", key("webhook", id), "id", id, "user_id", user, "created_at", time)
  call("ZADD", key("webhooks", user), time, id)
end
call("HSET", key("webhook", id), "settings", ARGV[5])
call("HDEL", key("webhook", id), "disabled_at", "disabled_reason")
for _, message in ipairs(call("ZRANGE", key("deliveries", id), 0, -1)) do
  call("HSET", key("delivery", id .. "/" .. message), "attempts", 0)
  call("ZADD", due, time, id .. "/" .. message)
end
return 1`)

/** 1 for enabled ones alone, then users. */
export const list = script<ReadonlyArray<WebhookValues>>(String.raw`
local found = {}
for i = 4, #ARGV do
  for _, id in ipairs(call("ZRANGE", key("webhooks", ARGV[i]), 0, -1)) do
    local v = webhook(id)
    if ARGV[3] == "0" or isEnabled(v) then table.insert(found, v) end
  end
end
return found`)

/** Webhook, user. Returns 0 without the webhook. */
export const remove = script<0 | 1>(String.raw`
local id, user = ARGV[3], ARGV[4]
if not isOf(id, user) then return 0 end
for _, message in ipairs(call("ZRANGE", key("deliveries", id), 0, -1)) do forget(id, message) end
call("UNLINK", key("webhook", id))
call("ZREM", key("webhooks", user), id)
return 1`)

/** User, the user of the server's webhooks. Returns the numbers of removed webhooks and messages. */
export const forgetUser = script<readonly [webhooks: number, deliveries: number]>(String.raw`
local user, webhooks, deliveries = ARGV[3], 0, 0
for _, id in ipairs(call("ZRANGE", key("webhooks", ARGV[4]), 0, -1)) do
  for _, message in ipairs(call("ZRANGE", key("deliveries", id), 0, -1)) do
    if call("HGET", key("delivery", id .. "/" .. message), "user_id") == user then
      forget(id, message)
      deliveries = deliveries + 1
    end
  end
end
for _, id in ipairs(call("ZRANGE", key("webhooks", user), 0, -1)) do
  for _, message in ipairs(call("ZRANGE", key("deliveries", id), 0, -1)) do
    forget(id, message)
    deliveries = deliveries + 1
  end
  call("UNLINK", key("webhook", id))
  webhooks = webhooks + 1
end
call("UNLINK", key("webhooks", user))
return { webhooks, deliveries }`)

export const cursor = script<string | null>(`return call("GET", prefix .. "webhook-cursor")`)

/** Messages. */
export const enqueue = script<unknown>(`enqueue(3, now()) return 1`)

/** The cursor before and after, messages. Returns 0 when the cursor is another one. */
export const advance = script<0 | 1>(String.raw`
if (call("GET", prefix .. "webhook-cursor") or "0") ~= ARGV[3] then return 0 end
call("SET", prefix .. "webhook-cursor", ARGV[4])
enqueue(5, now())
return 1`)

/** Lease, then webhooks to leave out. Returns null when no message is due. */
export const claim = script<
  readonly [id: string, body: string, traceparent: string | null, attempt: number, webhook: WebhookValues] | null
>(
  String.raw`
local time, except = now(), {}
for i = 4, #ARGV do except[ARGV[i]] = true end
local first, page = 0, 100
while true do
  local names = call("ZRANGEBYSCORE", due, "-inf", time, "LIMIT", first, page)
  for _, name in ipairs(names) do
    local id = call("HGET", key("delivery", name), "webhook_id")
    if not except[id] then
      call("ZADD", due, time + tonumber(ARGV[3]), name)
      local attempt = call("HINCRBY", key("delivery", name), "attempts", 1)
      local v = call("HMGET", key("delivery", name), "id", "body", "traceparent")
      return { v[1], v[2], v[3], attempt, webhook(id) }
    end
  end
  if #names < page then return false end
  first = first + page
end`
)

/** Webhook, id, attempt, delay or "" to disable the webhook, error. Without an error the message has arrived. */
export const settle = script<unknown>(String.raw`
local id, message, time = ARGV[3], ARGV[4], now()
local name = id .. "/" .. message
if call("HGET", key("delivery", name), "attempts") ~= ARGV[5] then return 0 end
if not ARGV[7] then forget(id, message) return 1 end
call("HSET", key("delivery", name), "last_error", ARGV[7])
if ARGV[6] ~= "" then
  call("ZADD", due, time + tonumber(ARGV[6]), name)
  return 1
end
call("HSET", key("webhook", id), "disabled_at", time, "disabled_reason", ARGV[7])
for _, each in ipairs(call("ZRANGE", key("deliveries", id), 0, -1)) do call("ZREM", due, id .. "/" .. each) end
return 1`)

/** Webhook, user, limit. Returns id, attempts, last error, times of creation and of the next attempt. */
export const deliveries = script<ReadonlyArray<readonly [string, string, string | null, string, string | null]>>(
  String.raw`
local id, rows = ARGV[3], {}
if not isOf(id, ARGV[4]) then return rows end
for i, message in ipairs(call("ZRANGE", key("deliveries", id), 0, ARGV[5] - 1)) do
  local name = id .. "/" .. message
  local v = call("HMGET", key("delivery", name), "id", "attempts", "last_error", "created_at")
  rows[i] = { v[1], v[2], v[3], v[4], call("ZSCORE", due, name) }
end
return rows`
)
