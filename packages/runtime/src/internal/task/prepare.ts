/**
 * Prepares a claimed task for its agent: reads the log and the intents, writes missing messages to the conversation store,
 * and reads the history. If there is a reason not to begin, the preparation is the end of the task.
 */
import type { Agent } from "@perennial/domain/Agent"
import { isUnreadable } from "@perennial/domain/EventPayload"
import { messageId } from "@perennial/domain/Ids"
import { cancelKey, endKey } from "@perennial/domain/Intent"
import type { Outcome } from "@perennial/domain/Settlement"
import { isTerminal } from "@perennial/domain/Task"
import type { Claim } from "@perennial/domain/TaskBackend"
import type {
  ConversationNotFound,
  ConversationStoreError,
  CursorAhead,
  EventsExpired,
  TaskBackendError,
  TaskNotFound
} from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Effect, Option } from "effect"
import type { Prepared } from "./agentInput.ts"
import { parentEnded } from "./endChildren.ts"
import type { ExecutionHost } from "./executionHost.ts"
import { givenUp } from "./finish.ts"
import { outcomeOf } from "./outcome.ts"
import type { OwnedTask } from "./ownedTask.ts"
import { storeAccepted, storeMessages } from "./projection.ts"
import { readHistory } from "./readHistory.ts"
import { readJournal } from "./readJournal.ts"
import { untilRefused } from "./storeFailures.ts"

type PrepareError =
  | TaskNotFound
  | EventsExpired
  | CursorAhead
  | TaskBackendError
  | ConversationNotFound
  | ConversationStoreError

/** The agent may begin, or the task ends with an outcome, or the claim is given back. */
export type Preparation =
  | { readonly _tag: "Ready"; readonly agent: Agent; readonly prepared: Prepared }
  | { readonly _tag: "End"; readonly outcome: Outcome }
  | { readonly _tag: "Release" }

/** The outcome of a task that was given up too often. */
const tooManyFailures = Effect.fnUntraced(function*(host: ExecutionHost, owned: OwnedTask) {
  const times = givenUp(owned)
  const refused = yield* storeAccepted(host, owned)
  const why = refused.length === 0
    ? { error: "CrashLoop", detail: `The task was given up ${times} times without progress.` }
    : {
      error: "MessageRefused",
      detail: `The conversation store refused ${refused.join(", ")} ${times} times. Only the task's events have it.`
    }
  return { _tag: "End", outcome: { status: "error", ...why, retryable: false } } satisfies Preparation
})

/** What of the task cannot be read. To go on without it could repeat finished work, or answer another message (P10). */
const unreadablePart = ({ claim }: OwnedTask, journal: ReadonlyArray<StoredEvent>): string | undefined => {
  if (claim.unreadable !== undefined) return claim.unreadable === "input" ? "its message" : "its settings"
  const event = journal.find(({ event }) => isUnreadable(event))
  return event && `event ${event.seq} of its log`
}

const unreadable = (part: string): Preparation => ({
  _tag: "End",
  outcome: {
    status: "error",
    error: "TaskUnreadable",
    detail: `The store has the task, but ${part} cannot be read.`,
    retryable: false
  }
})

/** A task whose agent this process does not have was claimed only to be ended. */
const withoutAgent = ({ claim, intents }: OwnedTask): Preparation =>
  // An intent that could not be read may be a cancel.
  intents.applied < claim.intents ? { _tag: "Release" } : {
    _tag: "End",
    outcome: {
      status: "error",
      error: "AgentNotFound",
      detail: `No process with the agent "${claim.agentId}" took the task up in time.`,
      retryable: false
    }
  }

/**
 * Whether the task that started this task needs it no more: it has ended or is gone, is about to be cancelled, or is about to end
 * and has looked for its child tasks before this one was accepted.
 */
const isOrphaned = Effect.fnUntraced(function*({ backend }: ExecutionHost, { claim }: OwnedTask) {
  const { parent } = claim.spec
  if (parent === undefined) return false
  const { attempt, status } = yield* backend.get(parent.taskId)
  if (isTerminal(status)) return true
  const intents = yield* backend.intents(parent.taskId)
  return intents.some(({ key }) => key === cancelKey || key === endKey(attempt))
}, Effect.catchTag("TaskNotFound", () => Effect.succeed(true)))

/** Why the owner before has stopped, and how long nobody executed the task. */
const lossOf = ({ lost, now }: Claim, journal: ReadonlyArray<StoredEvent>) => {
  if (lost === undefined) return undefined
  // An owner that wrote an event was alive, although it had not renewed its lease yet.
  const from = lost.reason === "crash" ? Math.max(lost.at, journal.at(-1)?.at ?? 0) : lost.at
  return { reason: lost.reason, gapMillis: Math.max(0, Math.round(now - from)) }
}

/** Reads the intents of the task. One of them may be a cancel: without them the agent does not begin (P7). */
const readIntents = ({ backend }: ExecutionHost, { claim, intents }: OwnedTask) =>
  claim.intents === 0
    ? Effect.void
    : Effect.map(backend.intents(claim.taskId), (recorded) => intents.apply(recorded))

export const prepare = Effect.fnUntraced(function*(
  host: ExecutionHost,
  owned: OwnedTask,
  agent: Option.Option<Agent>
): Effect.fn.Return<Preparation, PrepareError> {
  const { backend, commit, limits, store } = host
  const { claim, log, stop, timeout } = owned
  const isGivenUp = givenUp(owned) > limits.failures
  // A task that is only to be ended needs no journal: nothing of a store that refuses for ever may keep a task alive.
  const journal = yield* isGivenUp
    ? readJournal(backend, log).pipe(
      Effect.tapCause(() => Effect.sync(() => log.forget())),
      Effect.retry(untilRefused),
      Effect.catchCause((cause) =>
        Effect.as(Effect.logError("The log of a task that was given up cannot be read.", cause), [])
      )
    )
    : readJournal(backend, log)
  yield* isGivenUp
    ? Effect.catchCause(
      readIntents(host, owned),
      (cause) => Effect.logWarning("The intents of a task that was given up could not be read.", cause)
    )
    : readIntents(host, owned)
  if (stop.reason === "cancel" || stop.reason === "deadline") {
    const outcome = outcomeOf(stop, timeout, "abandoned")
    if (outcome !== "nothing" && outcome !== "release") return { _tag: "End", outcome }
  }
  // A task that was given up ends anyway: a parent that cannot be read must not keep it alive.
  if (!isGivenUp && (yield* isOrphaned(host, owned))) {
    return { _tag: "End", outcome: { status: "cancelled", reason: parentEnded } }
  }
  const part = unreadablePart(owned, journal)
  if (part !== undefined) return unreadable(part)
  if (Option.isNone(agent)) return withoutAgent(owned)
  if (isGivenUp) return yield* tooManyFailures(host, owned)
  const begun = journal.some(({ event }) => event.type === "started")
  // This comes before the event, so that the log does not grow while the store does not answer.
  if (begun) yield* storeMessages(host, owned)
  const { attempt, conversationId, taskId } = claim
  yield* commit.emit(log, [
    begun
      // The log fills in which text is void.
      ? { type: "resumed", taskId, conversationId, attempt, discardAfter: 0, ...lossOf(claim, journal) }
      : { type: "started", taskId, conversationId, attempt }
  ])
  yield* storeMessages(host, owned)
  const { hasOwn, history, historyMetadata } = yield* readHistory(store, { id: conversationId, userId: claim.userId }, {
    own: messageId(taskId, 1),
    maxBytes: limits.historyBytes
  })
  // A deletion that had begun before the task was accepted may have removed its message.
  const prepared = { journal, history: hasOwn ? history : [...history, claim.input], historyMetadata }
  return { _tag: "Ready", agent: agent.value, prepared }
})
