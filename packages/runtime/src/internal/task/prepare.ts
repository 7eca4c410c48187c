/**
 * Brings a claimed task up to where its agent may begin: reads the log, catches up with what was asked and what the
 * conversation store lacks, and reads the history. Or ends the task, if there is a reason why no agent should begin.
 */
import type { Agent } from "@perennial/domain/Agent"
import type { Outcome } from "@perennial/domain/Settlement"
import type {
  ConversationNotFound,
  ConversationStoreError,
  CursorAhead,
  EventsExpired,
  TaskBackendError,
  TaskNotFound
} from "@perennial/domain/TaskError"
import { Effect, Option } from "effect"
import type { Prepared } from "./agentInput.ts"
import type { ExecutionHost } from "./executionHost.ts"
import { givenUp } from "./finish.ts"
import { outcomeOf } from "./outcome.ts"
import type { OwnedTask } from "./ownedTask.ts"
import { storeAccepted, storeMessages } from "./projection.ts"
import { readHistory } from "./readHistory.ts"
import { readJournal } from "./readJournal.ts"

type PrepareError =
  | TaskNotFound
  | EventsExpired
  | CursorAhead
  | TaskBackendError
  | ConversationNotFound
  | ConversationStoreError

/** A task that its agent may begin, an outcome that it ends with, or a claim that is given back. */
export type Preparation =
  | { readonly _tag: "Ready"; readonly agent: Agent; readonly prepared: Prepared }
  | { readonly _tag: "End"; readonly outcome: Outcome }
  | { readonly _tag: "Release" }

/** The outcome of a task that was given up too often. */
const tooManyFailures = Effect.fnUntraced(function*({ store }: ExecutionHost, owned: OwnedTask) {
  const times = givenUp(owned)
  const refused = yield* storeAccepted(store, owned)
  const why = refused.length === 0
    ? { error: "CrashLoop", detail: `The task was given up ${times} times without progress.` }
    : {
      error: "MessageRefused",
      detail: `The conversation store refused ${refused.join(", ")} ${times} times. Only the task's events have it.`
    }
  return { _tag: "End", outcome: { status: "error", ...why, retryable: false } } satisfies Preparation
})

/** A task whose agent this process does not have was claimed for nothing but its end. */
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

/** Reads what was asked of the task. A failure is harmless: the next heartbeat reads again. */
const readIntents = ({ backend }: ExecutionHost, { claim, intents }: OwnedTask) =>
  claim.intents === 0 ? Effect.void : backend.intents(claim.taskId).pipe(
    Effect.map((recorded) => intents.apply(recorded)),
    Effect.ignore({ log: "Warn" })
  )

export const prepare = Effect.fnUntraced(function*(
  host: ExecutionHost,
  owned: OwnedTask,
  agent: Option.Option<Agent>
): Effect.fn.Return<Preparation, PrepareError> {
  const { backend, commit, limits, store } = host
  const { claim, log, stop, timeout } = owned
  const journal = yield* readJournal(backend, log)
  yield* readIntents(host, owned)
  if (stop.reason === "cancel" || stop.reason === "deadline") {
    const outcome = outcomeOf(stop, timeout, "abandoned")
    if (outcome !== "nothing" && outcome !== "release") return { _tag: "End", outcome }
  }
  if (Option.isNone(agent)) return withoutAgent(owned)
  if (givenUp(owned) > limits.failures) return yield* tooManyFailures(host, owned)
  const begun = journal.some(({ event }) => event.type === "started")
  // Before an event is written: while a store is away the log does not grow.
  if (begun) yield* storeMessages(store, owned)
  const { attempt, conversationId, taskId } = claim
  yield* commit.emit(log, [
    begun
      // The log fills in which text is void.
      ? { type: "resumed", taskId, conversationId, attempt, discardAfter: 0 }
      : { type: "started", taskId, conversationId, attempt }
  ])
  yield* storeMessages(store, owned)
  const read = yield* readHistory(store, { id: conversationId, userId: claim.userId }, limits.historyBytes)
  return { _tag: "Ready", agent: agent.value, prepared: { journal, ...read } }
})
