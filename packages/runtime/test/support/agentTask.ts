/** Runs an agent without a runtime. Its emitted events become a log like that of the runtime. */
import type { Agent, AgentError, AgentInput, AgentResult, Emit } from "@perennial/domain/Agent"
import { CurrentTask, type TaskContext } from "@perennial/domain/CurrentTask"
import type { Decision } from "@perennial/domain/Decision"
import { AgentId, ConversationId, TaskId, UserId } from "@perennial/domain/Ids"
import { type Message, userText } from "@perennial/domain/Message"
import { ack, type AgentEvent, isBoundary, type StoredEvent, type TaskEvent } from "@perennial/domain/TaskEvent"
import * as TaskView from "@perennial/domain/TaskView"
import { Clock, Deferred, Duration, Effect, type Fiber, Option } from "effect"
import { malformed } from "../../src/internal/log/agentEvent.ts"

export { adjust, settle } from "@perennial/runtime/Testing"

export const task: TaskContext = {
  taskId: TaskId.make("task-1"),
  conversationId: ConversationId.make("conversation-1"),
  userId: UserId.make("alice"),
  agentId: AgentId.make("agent-1"),
  attempt: 1,
  metadata: {},
  userMetadata: {},
  stopReason: Effect.succeedNone
}

const chunks = new Set(["text", "reasoning", "tool_progress", "retry", "data", "title"])

/** The journal: the log without chunks of text and other events that recovery does not need. */
const journalOf = (log: ReadonlyArray<StoredEvent>): ReadonlyArray<StoredEvent> =>
  log.filter(({ event }) => !chunks.has(event.type))

/** The messages that a log adds to its conversation, as the runtime stores them: each tool result is a message. */
export const messagesOf = (log: ReadonlyArray<StoredEvent>): ReadonlyArray<Message> =>
  log.flatMap(({ event }): ReadonlyArray<Message> => {
    if (event.type === "message") return [event.message]
    if (event.type !== "tool_result") return []
    const { conversationId: _, taskId: __, ...part } = event
    return [{ role: "tool", content: [part] }]
  })

export interface AgentTask {
  readonly log: Array<StoredEvent>
  readonly fiber: Fiber.Fiber<AgentResult, AgentError>
  readonly decide: (toolCallId: string, decision: Decision) => Effect.Effect<void>
  readonly events: <Type extends TaskEvent["type"]>(
    type: Type
  ) => ReadonlyArray<Extract<TaskEvent, { readonly type: Type }>>
}

/** Starts the agent. `log` is the log of an earlier attempt, `before` the earlier messages of the conversation. */
export const startAgent = Effect.fnUntraced(function*(agent: Agent, options: {
  readonly message?: string
  readonly before?: ReadonlyArray<Message>
  readonly log?: ReadonlyArray<StoredEvent>
  /** The number of events that become durable. Later calls of `emit` never return, until the attempt is interrupted. */
  readonly stopAfter?: number
} = {}) {
  const log: Array<StoredEvent> = [
    ...(options.log ?? [ack({ id: task.taskId, conversationId: task.conversationId, at: 0 })])
  ]
  const clock = yield* Clock.Clock
  const decisions = new Map<string, Deferred.Deferred<Decision>>()
  const decisionOf = (toolCallId: string) => {
    const known = decisions.get(toolCallId) ?? Deferred.makeUnsafe<Decision>()
    decisions.set(toolCallId, known)
    return known
  }
  const boundary = () => log.findLast(({ event }) => isBoundary(event))?.seq ?? 0
  const write = (event: AgentEvent) => {
    const { taskId, conversationId } = task
    const stored: TaskEvent = event.type === "retry"
      ? { ...event, taskId, conversationId, discardAfter: boundary() }
      : { ...event, taskId, conversationId }
    log.push({ seq: log.length + 1, at: clock.currentTimeMillisUnsafe(), event: stored })
  }
  let left = options.stopAfter ?? Number.POSITIVE_INFINITY
  const emit: Emit = (events) =>
    Effect.suspend(() => {
      const wrong = malformed(events, task)
      if (wrong !== undefined) return Effect.die(wrong)
      // The events of one `emit` become durable together.
      left -= events.length
      if (left < 0) return Effect.never
      for (const event of events) write(event)
      return Effect.succeed(log.length)
    })
  const input: AgentInput = {
    task,
    history: [...(options.before ?? []), userText(options.message ?? "hi"), ...messagesOf(log)],
    historyMetadata: new Map(),
    journal: journalOf(log),
    awaitDecision: (toolCallId, otherwise) => {
      const given = Deferred.await(decisionOf(toolCallId))
      if (otherwise === undefined) return given
      const asked = input.journal.find(({ event }) => event.type === "tool_approval" && event.toolCallId === toolCallId)
      return Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.timeoutOrElse(given, {
          duration: Math.max(0, (asked?.at ?? now) + Duration.toMillis(otherwise.timeout) - now),
          orElse: () => Effect.succeed(otherwise.decision)
        }))
    },
    makeTitle: Effect.flatMap(Option.match({
      onNone: () => Effect.void,
      onSome: (title) => Effect.sync(() => write({ type: "title", title }))
    }))
  }
  const fiber = yield* agent.run(input, emit).pipe(
    Effect.provideService(CurrentTask, Option.some(task)),
    Effect.forkChild
  )
  const out: AgentTask = {
    log,
    fiber,
    decide: (toolCallId, decision) => Effect.asVoid(Deferred.succeed(decisionOf(toolCallId), decision)),
    events: <Type extends TaskEvent["type"]>(type: Type) =>
      log.flatMap(({ event }) => event.type === type ? [event as Extract<TaskEvent, { readonly type: Type }>] : [])
  }
  return out
})

export const view = (log: ReadonlyArray<StoredEvent>) => log.reduce(TaskView.apply, TaskView.empty)

/** One line for each event. */
export const brief = (log: ReadonlyArray<StoredEvent>): ReadonlyArray<string> =>
  log.filter(({ event }) => event.type !== "model_request").map(({ event }) => {
    switch (event.type) {
      case "text":
      case "reasoning":
        return `${event.type} ${event.content}`
      case "tool_call":
        return `tool_call ${event.tool} ${JSON.stringify(event.args)}`
      case "tool_result":
        return `tool_result ${event.tool} ${event.status} ${JSON.stringify(event.result)}`
      case "tool_progress":
        return `tool_progress ${JSON.stringify(event.data)}`
      case "tool_approval":
        return `tool_approval ${event.tool} ${event.decision?.approved ?? "?"}`
      case "retry":
        return `retry ${event.tryNumber} ${event.reason}`
      case "message":
        return `message ${event.message.content.map((part) => part.type).join("+")}`
      default:
        return event.type
    }
  })
