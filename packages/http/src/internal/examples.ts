/** Examples of answers in the OpenAPI document. A test checks each of them against its schema. */
import type { AgentDescription } from "@perennial/domain/Agent"
import type { Approval } from "@perennial/domain/Approval"
import type { Conversation, StoredMessage } from "@perennial/domain/Conversation"
import type { FeedChange } from "@perennial/domain/Feed"
import type { Runner } from "@perennial/domain/Runner"
import type { Task, TaskCounts } from "@perennial/domain/Task"
import type { Known, StoredEvent } from "@perennial/domain/TaskEvent"
import type { TaskRecord } from "@perennial/domain/TaskRecords"
import type { Throughput } from "@perennial/domain/Throughput"
import type { Receipt } from "@perennial/domain/UserData"
import type { ExportLine } from "@perennial/domain/UserExport"
import type { Delivery } from "@perennial/domain/Webhook"

const id = "01a2061b-4b6f-773b-924f-a99c20363c38"
const conversationId = "01a2061b-4b6e-7fd1-8c0f-2f4e8a5d9b10"
const createdAt = "2026-01-01T12:00:00.000Z"
const updatedAt = "2026-01-01T12:00:03.512Z"

export const queued = {
  id,
  conversationId,
  agentId: "assistant",
  status: "queued",
  attempt: 0,
  lastSeq: 1,
  createdAt,
  updatedAt: createdAt,
  preview: "Hello"
} satisfies typeof Task.Encoded

export const running = {
  ...queued,
  status: "running",
  attempt: 1,
  lastSeq: 17,
  updatedAt,
  startedAt: createdAt
} satisfies typeof Task.Encoded

export const cancelled = {
  ...running,
  status: "cancelled",
  lastSeq: 18,
  endedAt: updatedAt
} satisfies typeof Task.Encoded

export const event = { type: "text", taskId: id, conversationId, content: "Hello! " } satisfies typeof Known.Encoded

/** The event as a frame has it. */
export const frame = { ...event, at: 1_767_268_800_640 }

/** The place of the event in its conversation. */
export const place = `${id}/3`

export const counts = {
  queued: 1,
  running: 2,
  completed: 340,
  error: 1,
  cancelled: 4,
  waiting: 1
} satisfies typeof TaskCounts.Encoded

export const throughput = {
  minutes: [{ at: "2026-01-01T12:00:00.000Z", started: 12, completed: 10, error: 1, cancelled: 0 }]
} satisfies typeof Throughput.Encoded

export const record = {
  id,
  userId: "alice",
  conversationId,
  agentId: "assistant",
  status: "running",
  attempt: 1,
  lastSeq: 17,
  createdAt,
  updatedAt,
  startedAt: createdAt,
  runner: "web-2-4711-01a2061b-4b6f-773b-924f-a99c20363c38"
} satisfies typeof TaskRecord.Encoded

const { runner: _, ...endedRecord } = { ...record, status: "cancelled" as const, lastSeq: 18, endedAt: updatedAt }
export const cancelledRecord = endedRecord satisfies typeof TaskRecord.Encoded

export const runner = {
  id: record.runner,
  since: "2026-01-01T09:30:00.000Z",
  renewedAt: updatedAt,
  expiresAt: "2026-01-01T12:00:12.512Z",
  running: 3,
  waiting: 1,
  version: "0.1.0",
  capacity: 1_000,
  agents: ["assistant"],
  shards: 100,
  queued: 0
} satisfies typeof Runner.Encoded

export const agent = {
  id: "assistant",
  model: "claude-sonnet-4-5",
  tools: [{ name: "send_mail", description: "Sends a mail.", approval: "always", safeToRepeat: false }]
} satisfies typeof AgentDescription.Encoded

export const me = { userId: "alice", roles: [], expiresAt: 1_767_269_100_000 }

export const eventPage = {
  events: [
    { seq: 1, at: 1_767_268_800_000, event: { type: "ack", taskId: id, conversationId, messageId: `${id}/1` } },
    { seq: 2, at: 1_767_268_800_021, event: { type: "started", taskId: id, conversationId, attempt: 1 } },
    { seq: 3, at: 1_767_268_800_640, event }
  ] satisfies ReadonlyArray<typeof StoredEvent.Encoded>,
  lastSeq: 17,
  ended: false
}

export const feedChange = { type: "changes", tasks: [running] } satisfies typeof FeedChange.Encoded

export const approval = {
  taskId: id,
  conversationId,
  agentId: "assistant",
  toolCallId: "toolu_01",
  tool: "send_mail",
  args: { to: "bob@example.com", text: "The report is ready." },
  askedAt: updatedAt
} satisfies typeof Approval.Encoded

export const conversation = {
  id: conversationId,
  title: "A greeting",
  preview: "Hello! How can I help you?",
  createdAt,
  updatedAt
} satisfies typeof Conversation.Encoded

export const message = {
  id: `${id}/1`,
  taskId: id,
  createdAt,
  message: { role: "user", content: [{ type: "text", text: "Hello" }] },
  status: "complete"
} satisfies typeof StoredMessage.Encoded

export const ticket = { ticket: "eyJ1c2VySWQiOiJhbGljZSJ9.q3v1", expiresAt: 1_767_269_100_000 }

export const webhook = {
  id: "01a2061c-0a1b-7c3d-8e4f-5a6b7c8d9e0f",
  url: "https://example.com/hook",
  topics: ["task.completed"],
  content: false,
  createdAt
}

export const webhookWithSecret = { ...webhook, secret: "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD" }

export const delivery = {
  id: "01a2061d-1b2c-7d4e-9f50-6b7c8d9e0f1a",
  attempts: 2,
  lastError: "The receiver answered 503.",
  createdAt,
  nextAttemptAt: "2026-01-01T12:05:00.000Z"
} satisfies typeof Delivery.Encoded

export const exportLine = { type: "message", conversationId, message } satisfies typeof ExportLine.Encoded

export const receipt = {
  conversations: 2,
  messages: 8,
  tasks: 5,
  events: 61,
  intents: 3,
  webhooks: 1,
  deliveries: 2
} satisfies typeof Receipt.Encoded
