/**
 * The input of the agent of one task: the task, the conversation, and the functions that wait for a person and make a title.
 */
import type { AgentInput, Emit } from "@perennial/domain/Agent"
import type { TaskContext } from "@perennial/domain/CurrentTask"
import { decisionKey } from "@perennial/domain/Intent"
import type { Message } from "@perennial/domain/Message"
import type { Metadata } from "@perennial/domain/Task"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { type Cause, Duration, Effect } from "effect"
import { malformed } from "../log/agentEvent.ts"
import type { ExecutionHost } from "./executionHost.ts"
import type { OwnedTask } from "./ownedTask.ts"
import { storeMessages } from "./projection.ts"
import { Titling } from "./titling.ts"

/** The conversation and the log at the point where the agent begins. */
export interface Prepared {
  /** The log so far, without the chunks that complete messages replaced. */
  readonly journal: ReadonlyArray<StoredEvent>
  readonly history: ReadonlyArray<Message>
  readonly historyMetadata: ReadonlyMap<Message, Metadata>
}

export class TaskAgentInput implements AgentInput {
  readonly task: TaskContext
  readonly history: ReadonlyArray<Message>
  readonly historyMetadata: ReadonlyMap<Message, Metadata>
  readonly journal: ReadonlyArray<StoredEvent>
  readonly #host: ExecutionHost
  readonly #owned: OwnedTask
  #titling: Titling | undefined

  constructor(host: ExecutionHost, owned: OwnedTask, { history, historyMetadata, journal }: Prepared) {
    this.task = owned.context
    this.history = history
    this.historyMetadata = historyMetadata
    this.journal = journal
    this.#host = host
    this.#owned = owned
  }

  readonly emit: Emit = (events) =>
    Effect.suspend(() => {
      const { log } = this.#owned
      const wrong = malformed(events, log.claim)
      return wrong === undefined
        ? Effect.tap(this.#host.commit.emitByAgent(log, events), () => this.#project())
        : Effect.die(wrong)
    })

  /** Writes what the events added to the conversation. */
  #project(): Effect.Effect<void> {
    const { attempt, log, place } = this.#owned
    if (log.unstored.length === 0 && log.title === undefined) return Effect.void
    if (log.unstored.length > 0) attempt.progressed()
    return storeMessages(this.#host, this.#owned).pipe(
      Effect.andThen(place.callEnded),
      Effect.uninterruptible,
      Effect.catchCause((cause) =>
        this.#storeFailed("The conversation store failed; the task stops here as if crashed.", cause)
      )
    )
  }

  readonly makeTitle: AgentInput["makeTitle"] = (title) => {
    const { scope, store } = this.#host
    this.#titling ??= new Titling({
      claim: this.#owned.claim,
      stop: this.#owned.stop,
      scope,
      store,
      write: (title) => Effect.asVoid(this.emit([{ type: "title", title }]))
    })
    return this.#titling.begin(title)
  }

  readonly awaitDecision: AgentInput["awaitDecision"] = (toolCallId, otherwise) => {
    const { intents, place } = this.#owned
    const given = intents.awaitDecision(toolCallId)
    if (intents.isDecided(toolCallId)) return given
    if (otherwise === undefined) return place.whileWaiting(given)
    return place.whileWaiting(Effect.raceFirst(given, Effect.andThen(this.#decideLate(toolCallId, otherwise), given)))
  }

  /** At its deadline a decision is recorded in place of a person's. The first decision counts. The store's clock decides. */
  #decideLate(
    toolCallId: string,
    { decision, timeout }: Parameters<AgentInput["awaitDecision"]>[1] & {}
  ): Effect.Effect<void> {
    const { backend, now } = this.#host
    const { claim, intents } = this.#owned
    const asked = this.journal.find(({ event }) => event.type === "tool_approval" && event.toolCallId === toolCallId)
    const deadline = Effect.suspend(() => {
      const from = asked?.at ?? now()
      return Effect.sleep(Math.max(0, from + Duration.toMillis(timeout) - now()))
    })
    return deadline.pipe(
      Effect.andThen(backend.putIntent(claim.taskId, { key: decisionKey(toolCallId), value: { ...decision } })),
      Effect.andThen(backend.intents(claim.taskId)),
      Effect.map((recorded) => intents.apply(recorded)),
      Effect.catchCause((cause) =>
        this.#storeFailed(
          "The end of a wait for approval could not be recorded; the task stops here as if crashed.",
          cause
        )
      )
    )
  }

  /** A failure of a store is never the outcome of the task. */
  #storeFailed(message: string, cause: Cause.Cause<unknown>): Effect.Effect<never> {
    return Effect.andThen(
      Effect.logError(message, cause),
      Effect.suspend(() => {
        this.#owned.stop.stop("store")
        return Effect.interrupt
      })
    )
  }

  /** Waits for a title that is being made, unless the task did not complete. Called when the agent has ended. */
  endTitling(completed: boolean): Effect.Effect<void> {
    return this.#titling === undefined ? Effect.void : this.#titling.end(completed)
  }
}
