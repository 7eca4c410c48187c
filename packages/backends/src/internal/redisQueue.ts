/**
 * What changes the queue of a conversation: accepting, ending and deleting tasks.
 */
import {
  cancelKey,
  cancelReason,
  type Created,
  interruptReason,
  type NewTask,
  type TaskBackend
} from "@perennial/domain/TaskBackend"
import {
  ConversationBusy,
  ConversationNotFound,
  IdempotencyConflict,
  LeaseLost,
  QueueFull,
  TaskBackendError,
  TaskNotFound
} from "@perennial/domain/TaskError"
import { ack, isTerminal, terminalStatus } from "@perennial/domain/TaskEvent"
import { Effect, Option, Schema } from "effect"
import { encodeEvent } from "./eventPayload.ts"
import { read, type Unreadable } from "./persistence.ts"
import { persistently } from "./redisPersistence.ts"
import type { Argument, Run } from "./redisPrelude.ts"
import { toHeadOption, toPayloads, toRow } from "./redisTaskRow.ts"
import * as scripts from "./redisTaskScripts.ts"
import { toHead, toTask, toText } from "./taskRow.ts"

type Service = TaskBackend["Service"]

const failed = (operation: string) => (cause: unknown) => new TaskBackendError({ operation, cause })

const decodeValue = Schema.decodeSync(Schema.fromJsonString(Schema.Json))

/** The fields of a row that do not change. */
const toFields = (task: NewTask): ReadonlyArray<string> =>
  Object.entries({
    agent_id: task.agentId,
    input: toText(task.input),
    user_metadata: toText(task.userMetadata),
    metadata: toText(task.metadata),
    replaces: task.replaces ?? null,
    log_context: toText(task.logContext)
  }).flatMap(([name, value]) => value === null ? [] : [name, value])

type Refusal = ConversationBusy | QueueFull | IdempotencyConflict | ConversationNotFound | TaskBackendError

export const make = (
  run: Run
): Pick<Service, "create" | "finish" | "putIntent" | "deleteConversation"> => {
  const create: Service["create"] = (task, { maxQueued, onBusy }) => {
    const { conversationId, idempotency, userId } = task
    const args: ReadonlyArray<Argument> = [
      task.id,
      conversationId,
      userId,
      onBusy,
      maxQueued,
      idempotency === undefined ? "" : `=${idempotency.key}`,
      idempotency?.requestHash ?? "",
      JSON.stringify({ reason: interruptReason }),
      JSON.stringify(interruptReason),
      encodeEvent(ack({ id: task.id, conversationId, at: 0 }).event),
      ...toFields(task)
    ]
    return persistently(
      (): Effect.Effect<Created, Refusal | Unreadable | Effect.Error<ReturnType<Run>>> =>
        Effect.flatMap(run(scripts.create, args), (result): Effect.Effect<Created, Refusal | Unreadable> => {
          switch (result[0]) {
            case "created":
            case "existing": {
              const [tag, values, isHead, cancelled = [], cancelling = []] = result
              return read(() => {
                const row = toRow(values)
                return {
                  task: toTask(row),
                  created: tag === "created",
                  head: isHead === 1 ? Option.some(toHead(row)) : Option.none(),
                  cancelled,
                  cancelling
                }
              })
            }
            case "busy":
              return Effect.fail(new ConversationBusy({ conversationId, activeTaskId: result[1] }))
            case "full":
              return Effect.fail(new QueueFull({ conversationId, limit: maxQueued }))
            case "conflict":
              return Effect.fail(new IdempotencyConflict({ idempotencyKey: idempotency?.key ?? "" }))
            case "foreign":
              return Effect.fail(new ConversationNotFound({ conversationId }))
            case "taken":
              return Effect.fail(failed("create")(`the id ${task.id} is taken`))
          }
        }),
      failed("create")
    )
  }

  const finish: Service["finish"] = (claim, events) => {
    const last = events.at(-1)?.event
    if (last === undefined || !isTerminal(last)) return Effect.die("The last event of a task is terminal (P4)")
    const args: ReadonlyArray<Argument> = [
      claim.taskId,
      claim.token,
      events[0].seq,
      terminalStatus(last),
      last.type === "error" ? last.detail : "",
      events.length,
      ...toPayloads(events)
    ]
    return persistently(
      (again) =>
        Effect.flatMap(run(scripts.finish, [again ? 1 : 0, ...args]), (result) =>
          result === null
            ? Effect.fail(new LeaseLost({ taskId: claim.taskId, token: claim.token }))
            : Effect.succeed(toHeadOption(result[0]))),
      failed("finish")
    )
  }

  const putIntent: Service["putIntent"] = (id, { key, value }, options) => {
    const reason = key === cancelKey ? cancelReason(value) : undefined
    const args: ReadonlyArray<Argument> = [
      id,
      options?.userId === undefined ? "" : `=${options.userId}`,
      key,
      JSON.stringify(value),
      key === cancelKey ? 1 : 0,
      toText(reason) ?? ""
    ]
    return persistently((again) =>
      Effect.gen(function*() {
        const result = yield* run(scripts.putIntent, [again ? 1 : 0, ...args])
        if (result === null) return yield* new TaskNotFound({ taskId: id })
        const [written, recorded, values, promoted] = result
        return yield* read(() => ({
          written: written === 1,
          value: Option.map(Option.fromNullOr(recorded), decodeValue),
          task: toTask(toRow(values)),
          promoted: toHeadOption(promoted)
        }))
      }), failed("putIntent"))
  }

  const deleteConversation: Service["deleteConversation"] = ({ conversationId, userId }) =>
    persistently(
      () =>
        Effect.flatMap(run(scripts.deleteConversation, [conversationId, userId]), (activeTaskId) =>
          activeTaskId === null
            ? Effect.void
            : Effect.fail(new ConversationBusy({ conversationId, activeTaskId }))),
      failed("deleteConversation")
    )

  return { create, finish, putIntent, deleteConversation }
}
