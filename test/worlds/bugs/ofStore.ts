import { type Canary, canary, memoryBackend, memoryConversations, memoryTasks } from "./canary.ts"

/** Bugs of a store. */
export const ofStore: ReadonlyArray<Canary> = [
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
    "a user has one active task too many",
    memoryBackend,
    "tasks.activeOf(userId) - ending >= maxActive",
    "tasks.activeOf(userId) - ending > maxActive"
  ),
  canary(
    "tasks that have ended count as active",
    memoryTasks,
    "this.#countActive(row.task.userId, -1)",
    "void row.task.userId"
  ),
  canary(
    "interrupt does not count the places of the tasks that it ends",
    memoryBackend,
    "tasks.activeOf(userId) - ending >= maxActive",
    "tasks.activeOf(userId) >= maxActive"
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
    "return (this.leases.get(runnerId)?.expires ?? 0) > now",
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
    "entry.messages.length = from",
    "entry.messages.splice(from, 1)"
  )
]
