import { type Canary, canary, domain, runtime } from "./canary.ts"

const lease = `${runtime}Lease.ts`
const capacity = `${runtime}internal/task/capacity.ts`

/** Bugs of execution, ownership and recovery. */
export const ofTasks: ReadonlyArray<Canary> = [
  canary("all claims have one claim id", lease, "claimId: ClaimId.make(id)", "claimId: ClaimId.make(id.slice(0, 2))"),
  canary(
    "a renewal releases no task without an execution",
    lease,
    "here.has(row.taskId) ? Effect.void : lookAfter(row.taskId, strays.giveBack(row))",
    "here.has(row.taskId) ? Effect.void : Effect.void"
  ),
  canary("the lease remembers executions that have ended", lease, "held.delete(holder)", "void holder"),
  canary(
    "events have the time of the process",
    lease,
    "},\n    now: () => offset + now(),",
    "},\n    now: () => clock.currentTimeMillisUnsafe(),"
  ),
  canary(
    "the sweep executes nothing",
    `${runtime}Supervision.ts`,
    "yield* Effect.forEach(heads, options.execute, { discard: true })",
    "void heads"
  ),
  canary("a place is counted twice when it is given back", capacity, "this.#taken--", "this.#taken -= 0"),
  canary(
    "a task keeps its place at its end",
    `${runtime}TaskEngine.ts`,
    "Effect.ensuring(place.end),",
    "Effect.ensuring(Effect.void),"
  ),
  canary(
    "a task continues without a place after a wait",
    capacity,
    "Effect.tap(() => restore(this.#return))",
    "Effect.tap(() => Effect.void)"
  ),
  canary(
    "the conversation gets no messages at the end",
    `${runtime}internal/task/finish.ts`,
    "if (hasBegun(owned)) yield* storeMessages(host, owned)",
    "void storeMessages"
  ),
  canary(
    "calls without a result are not settled",
    `${domain}Settlement.ts`,
    "for (const [toolCallId, call] of self.calls) events.push",
    "for (const [toolCallId, call] of self.calls) if (!call.entered) events.push"
  ),
  canary(
    "a conversation that was deleted meanwhile gets only the later messages",
    `${runtime}internal/task/projection.ts`,
    "isWhole(log, messages)\n        ? backend.get",
    "messages.length > 0\n        ? backend.get"
  ),
  canary(
    "a shutdown is an error",
    `${runtime}internal/task/outcome.ts`,
    "case \"shutdown\":\n      return \"release\"",
    "case \"shutdown\":\n      return internal"
  ),
  canary(
    "a cancelled task is handed over",
    `${runtime}internal/task/outcome.ts`,
    "return { status: \"cancelled\", reason: cancelReason }",
    "return \"release\""
  ),
  canary(
    "a cancel does not reach the owner",
    `${runtime}internal/task/intents.ts`,
    "this.#stop.cancel(cancelReason(value))",
    "void cancelReason(value)"
  ),
  canary(
    "a decision does not reach the owner",
    `${runtime}internal/task/intents.ts`,
    "if (!isDecisionKey(key)) continue",
    "if (isDecisionKey(key)) continue"
  ),
  canary(
    "the end of a wait for approval is not recorded",
    `${runtime}internal/task/agentInput.ts`,
    "Effect.andThen(backend.putIntent(claim.taskId, { key: decisionKey(toolCallId), value: { ...decision } })),",
    "Effect.andThen(Effect.sync(() => [decisionKey(toolCallId), decision])),"
  ),
  canary(
    "cancel does not wait for the end",
    `${runtime}internal/manager/steerTask.ts`,
    "yield* Effect.mapError(untilEnded(task), (cause) => new TaskBackendError({ operation: \"cancel\", cause }))",
    "void task"
  ),
  canary(
    "await does not wait for the end",
    `${runtime}internal/manager/readTasks.ts`,
    "yield* untilEnded(yield* get(id))",
    "yield* get(id)"
  ),
  canary(
    "a second decision seems to be accepted",
    `${runtime}internal/manager/steerTask.ts`,
    "if (!Equal.equals(value.value, decision)) return",
    "if (Equal.equals(value.value, undefined)) return"
  ),
  canary(
    "a conversation is deleted before its tasks",
    `${runtime}internal/manager/deleteConversation.ts`,
    "yield* backend.deleteConversation({ conversationId: id, userId })\n    yield* store.delete(key)",
    "yield* store.delete(key)\n    yield* backend.deleteConversation({ conversationId: id, userId })"
  ),
  canary(
    "the journal leaves out calls that have begun",
    `${runtime}internal/task/readJournal.ts`,
    "type !== \"text\" && type",
    "type !== \"text\" && type !== \"tool_call\" && type"
  ),
  canary(
    "the journal leaves out results",
    `${runtime}internal/task/readJournal.ts`,
    "type !== \"text\" && type",
    "type !== \"text\" && type !== \"tool_result\" && type"
  ),
  canary(
    "an agent repeats an unsafe call",
    "test/worlds/scriptedAgent.ts",
    "if (called.has(toolCallId) && tool === \"pay\") return",
    "if (called.has(toolCallId) && tool !== \"pay\") return"
  )
]
