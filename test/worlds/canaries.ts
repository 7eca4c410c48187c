/**
 * Realistic bugs, each as an edit of a source file. `pnpm test:worlds --canaries` puts one at a time into the sources, and
 * counts the worlds until the oracle finds it. An oracle that finds nothing must show that it can.
 */
export interface Edit {
  /** Relative to the root of the repository. */
  readonly file: string
  /** Occurs exactly once in the file. */
  readonly find: string
  readonly replace: string
}

export interface Canary {
  readonly name: string
  readonly edits: ReadonlyArray<Edit>
}

const domain = "packages/domain/src/"
const runtime = "packages/runtime/src/"

const canary = (name: string, file: string, find: string, replace: string): Canary => ({
  name,
  edits: [{ file, find, replace }]
})

const memoryBackend = `${domain}MemoryTaskBackend.ts`
const memoryTasks = `${domain}internal/memoryTasks.ts`
const memoryConversations = `${domain}MemoryConversationStore.ts`

/** Bugs of a store. */
const ofStore: ReadonlyArray<Canary> = [
  canary(
    "the fencing token is not checked",
    memoryTasks,
    "row.runnerId !== undefined && row.token === token",
    "row.runnerId !== undefined"
  ),
  {
    name: "the end of a task checks no fence",
    edits: [
      {
        file: memoryBackend,
        find: "const row = tasks.fenced(claim)\n      const last",
        replace: "const row = tasks.rows.get(claim.taskId)\n      const last"
      },
      {
        file: memoryBackend,
        find: "if (row === undefined || events[0].seq !== row.lastSeq + 1) return Effect.fail(new LeaseLost(claim))",
        replace: "if (row === undefined) return Effect.fail(new LeaseLost(claim))"
      }
    ]
  },
  canary("a claim keeps the token", memoryBackend, "row.token += 1", "row.token += row.attempt === 0 ? 1 : 0"),
  canary(
    "a claim that was given up is handed out again",
    memoryBackend,
    "row.runnerId === runnerId && row.claimId === claimId && row.token === expectedToken + 1",
    "row.runnerId === runnerId && row.token === expectedToken + 1"
  ),
  {
    name: "every task of a conversation is a head",
    edits: [
      {
        file: memoryBackend,
        find:
          "const head = isHead(row) ? Option.some(toHead(row)) : Option.none()\n      return Effect.succeed({ task: toTask(row), created: true",
        replace: "const head = Option.some(toHead(row))\n      return Effect.succeed({ task: toTask(row), created: true"
      },
      {
        file: memoryBackend,
        find: "if (row === undefined || !isHead(row)) return Effect.succeedNone",
        replace: "if (row === undefined) return Effect.succeedNone"
      },
      {
        file: memoryTasks,
        find: "return isHead(row) && (row.runnerId === undefined",
        replace: "return row.status !== \"completed\" && (row.runnerId === undefined"
      }
    ]
  },
  canary(
    "the next task is not promoted",
    memoryTasks,
    "if (!wasHead || next === undefined) return Option.none()",
    "if (wasHead || next === undefined) return Option.none()"
  ),
  canary(
    "the last task is promoted, not the next",
    memoryTasks,
    "const next = row.queue.active[0]",
    "const next = row.queue.active.at(-1)"
  ),
  canary(
    "the terminal event is not written with the status",
    memoryBackend,
    "tasks.write(row, events, now)\n      return Effect.succeed(tasks.end(row, last, now))",
    "return Effect.succeed(tasks.end(row, last, now))"
  ),
  canary(
    "the status is not written with the terminal event",
    memoryBackend,
    "return Effect.succeed(tasks.end(row, last, now))",
    "return Effect.succeedNone"
  ),
  canary(
    "an append does not check the seq",
    memoryBackend,
    "if (row === undefined || events[0].seq !== row.lastSeq + 1) {\n          return { ok: false",
    "if (row === undefined) {\n          return { ok: false"
  ),
  canary(
    "the idempotency key is not looked up",
    memoryBackend,
    "const keyed = idempotency === undefined ? undefined : tasks.findByKey(task.userId, idempotency.key)",
    "const keyed = undefined as Row | undefined"
  ),
  canary(
    "reject sees only tasks that have begun",
    memoryBackend,
    "if (busy !== undefined && onBusy === \"reject\") {",
    "if (busy !== undefined && busy.attempt > 0 && onBusy === \"reject\") {"
  ),
  canary(
    "the queue is full one task too early",
    memoryBackend,
    "queue.active.length > maxQueued",
    "queue.active.length >= maxQueued"
  ),
  canary(
    "interrupt leaves waiting tasks in the queue",
    memoryTasks,
    "this.endUnbegun(row, interruptReason, now)",
    "void interruptReason"
  ),
  canary(
    "the last writer of an intent wins",
    memoryBackend,
    "if (Option.isSome(value) || isEnded(row.status)) {",
    "if (isEnded(row.status)) {"
  ),
  canary("a released task waits for nobody", memoryBackend, "tasks.waiting.add(row)", "void row"),
  canary(
    "the sweep does not see tasks of dead owners",
    memoryBackend,
    "if (!tasks.isLive(runnerId, now)) found.push(...mine)",
    "if (mine.size > 10 && !tasks.isLive(runnerId, now)) found.push(...mine)"
  ),
  canary(
    "leases do not end",
    memoryTasks,
    "return (this.leases.get(runnerId) ?? 0) > now",
    "return this.leases.has(runnerId)"
  ),
  canary(
    "a page begins one event too late",
    memoryBackend,
    "events: log.slice(after, to)",
    "events: log.slice(after + 1, to)"
  ),
  canary(
    "a page says too early that the task has ended",
    memoryBackend,
    "lastSeq, ended: isEnded(status) })",
    "lastSeq, ended: row.attempt > 0 })"
  ),
  canary(
    "a renewal lists only some of the tasks",
    memoryBackend,
    "owned: Array.fromIterable(mine).map((row) => {",
    "owned: Array.fromIterable(mine).slice(0, 1).map((row) => {"
  ),
  canary(
    "a conversation with an active task is deleted",
    memoryBackend,
    "if (head !== undefined) return Effect.fail(new ConversationBusy({ conversationId, activeTaskId: head.task.id }))\n      tasks.queues",
    "void head\n      tasks.queues"
  ),
  canary(
    "a message is stored twice",
    memoryConversations,
    "if (index.has(message.id) || entry.removed?.has(message.id) === true) continue",
    "if (entry.removed?.has(message.id) === true) continue"
  ),
  canary(
    "a removed message comes back",
    memoryConversations,
    "if (index.has(message.id) || entry.removed?.has(message.id) === true) continue",
    "if (index.has(message.id)) continue"
  ),
  canary(
    "only the replaced message is removed",
    memoryConversations,
    "entry.messages.splice(from)",
    "entry.messages.splice(from, 1)"
  )
]

const groupCommit = `${runtime}internal/log/groupCommit.ts`
const hub = `${runtime}internal/log/hub.ts`
const reader = `${runtime}internal/log/reader.ts`

/** Bugs of the event path. */
const ofEvents: ReadonlyArray<Canary> = [
  canary(
    "events are published before their commit",
    groupCommit,
    "Effect.ensuring(commitOne(log, stored), becomeIdle)",
    "Effect.ensuring(Effect.andThen(isNonEmpty(stored) ? log.publish(stored) : Effect.void, commitOne(log, stored)), becomeIdle)"
  ),
  canary(
    "an entry that was not written is published",
    groupCommit,
    "if (!appended.ok) return Effect.succeed",
    "if (!appended.ok && !isNonEmpty(events)) return Effect.succeed"
  ),
  canary("two commits run at the same time", groupCommit, "idle.closeUnsafe()", "void idle"),
  canary(
    "the terminal event is published before its commit",
    `${runtime}internal/task/finish.ts`,
    "const promoted = yield* backend.finish(claim, last)",
    "yield* log.publish(last)\n    const promoted = yield* backend.finish(claim, last)"
  ),
  canary(
    "the numbers of a second owner begin at 1",
    `${runtime}internal/log/ownedLog.ts`,
    "this.#lastSeq = options.claim.lastSeq",
    "this.#lastSeq = 1"
  ),
  canary("a reader accepts a gap of one event", reader, "if (first > cursor + 1) {", "if (first > cursor + 2) {"),
  canary(
    "a reader skips one event of a batch",
    reader,
    "batch.slice(cursor + 1 - first)",
    "batch.slice(cursor + 2 - first)"
  ),
  canary(
    "the tail is cut one event too late",
    hub,
    "this.#tail.slice(cursor + 1 - first.seq)",
    "this.#tail.slice(cursor + 2 - first.seq)"
  ),
  canary("a lost task keeps its tail", hub, "this.#hub.dropTail()", "void this.#hub"),
  canary("a hub counts readers that are gone", hub, "hub.readers--", "void hub"),
  canary("the hub of an ended task stays", `${runtime}TaskExecutor.ts`, "publisher.disown()", "void publisher"),
  canary(
    "a page that is not full is cached",
    `${runtime}internal/log/logCache.ts`,
    "if (after % blockEvents !== 0 || page.events.length < blockEvents) return",
    "if (after % blockEvents !== 0) return"
  ),
  canary(
    "a read of a page is remembered for ever",
    `${runtime}internal/log/logCache.ts`,
    "this.#loading.delete(key)",
    "void key"
  ),
  canary(
    "readers depend on hints alone",
    `${runtime}internal/log/tailer.ts`,
    "(hub) => logGrew(hub.taskId),\n            { discard: true }\n          )\n        }),",
    "() => Effect.void,\n            { discard: true }\n          )\n        }),"
  )
]

const lease = `${runtime}Lease.ts`
const capacity = `${runtime}internal/task/capacity.ts`

/** Bugs of execution, ownership and recovery. */
const ofTasks: ReadonlyArray<Canary> = [
  canary("all claims have one claim id", lease, "claimId: ClaimId.make(id)", "claimId: ClaimId.make(id.slice(0, 2))"),
  canary(
    "a renewal releases no task without an execution",
    lease,
    "here.has(row.taskId) ? Effect.void : alone(row.taskId, strays.giveBack(row))",
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
    "if (hasBegun(owned)) yield* storeMessages(store, owned)",
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
    "isWhole(log, messages)\n        ? Effect.andThen",
    "messages.length > 0\n        ? Effect.andThen"
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
    `${runtime}internal/manager/taskManager.ts`,
    "yield* backend.deleteConversation({ conversationId: id, userId: key.userId })\n    yield* store.delete(key)",
    "yield* store.delete(key)\n    yield* backend.deleteConversation({ conversationId: id, userId: key.userId })"
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

export const canaries: ReadonlyArray<Canary> = [...ofStore, ...ofEvents, ...ofTasks]
