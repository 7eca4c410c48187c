/**
 * The writes that change the queue of a conversation: accepting, ending and deleting tasks.
 */
import { cancelKey, cancelReason, decodeValue, interruptReason } from "@perennial/domain/Intent"
import * as MessagePayload from "@perennial/domain/MessagePayload"
import type { Created, NewTask, TaskBackend } from "@perennial/domain/TaskBackend"
import {
  ConversationBusy,
  ConversationNotFound,
  IdempotencyConflict,
  LeaseLost,
  QueueFull,
  TaskNotFound,
  TooManyActiveTasks
} from "@perennial/domain/TaskError"
import { isTerminal, terminalStatus } from "@perennial/domain/TaskEvent"
import * as TaskSpec from "@perennial/domain/TaskSpec"
import { Effect, Option } from "effect"
import { toTaskBackendError } from "./backendError.ts"
import { encodeAck } from "./eventPayload.ts"
import * as deletion from "./redisDeletionScripts.ts"
import type { Argument, RunScript } from "./redisPrelude.ts"
import { withRetries } from "./redisRetry.ts"
import { toHeadOption, toPayloads, toRow } from "./redisTaskRow.ts"
import * as scripts from "./redisTaskScripts.ts"
import { type CodecError, tryCodec } from "./storeRetry.ts"
import { toHead, toTask, toText } from "./taskRow.ts"

type Service = TaskBackend["Service"]

/** The fields of a row that do not change. */
const toFields = ({ agentId, input, spec }: NewTask): ReadonlyArray<string> => [
  "agent_id",
  agentId,
  "input",
  MessagePayload.encodeInput(input),
  "spec",
  TaskSpec.encode(spec)
]

type Refusal = Effect.Error<ReturnType<Service["create"]>>

export const make = (
  run: RunScript
): Pick<Service, "create" | "finish" | "putIntent" | "deleteConversation" | "forgetUser"> => {
  const create: Service["create"] = (task, { maxActive, maxQueued, onBusy }) => {
    const { conversationId, idempotency, userId } = task
    const toArguments = (): ReadonlyArray<Argument> => [
      task.id,
      conversationId,
      userId,
      onBusy,
      maxQueued,
      maxActive ?? "",
      idempotency === undefined ? "" : `=${idempotency.key}`,
      idempotency?.requestHash ?? "",
      JSON.stringify({ reason: interruptReason }),
      JSON.stringify(interruptReason),
      encodeAck(task),
      ...toFields(task)
    ]
    return withRetries(
      (): Effect.Effect<Created, Refusal | CodecError | Effect.Error<ReturnType<RunScript>>> =>
        Effect.flatMap(
          Effect.flatMap(tryCodec(toArguments), (args) => run(scripts.create, args)),
          (result): Effect.Effect<Created, Refusal | CodecError> => {
            switch (result[0]) {
              case "created":
              case "existing": {
                const [tag, values, isHead, cancelled = [], cancelling = []] = result
                return tryCodec(() => {
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
              case "many":
                return Effect.fail(new TooManyActiveTasks({ limit: maxActive ?? 0 }))
              case "conflict":
                return Effect.fail(new IdempotencyConflict({ idempotencyKey: idempotency?.key ?? "" }))
              case "foreign":
                return Effect.fail(new ConversationNotFound({ conversationId }))
              case "taken":
                return Effect.fail(toTaskBackendError("create")(`the id ${task.id} is taken`))
            }
          }
        ),
      toTaskBackendError("create")
    )
  }

  const finish: Service["finish"] = (claim, events) => {
    const last = events.at(-1)?.event
    if (last === undefined || !isTerminal(last)) return Effect.die("The last event of a task is terminal (P4)")
    const toArguments = (): ReadonlyArray<Argument> => [
      claim.taskId,
      claim.token,
      events[0].seq,
      terminalStatus(last),
      ...(last.type === "error" ? [last.error, last.detail] : ["", ""]),
      events.length,
      ...toPayloads(events)
    ]
    return withRetries((again) =>
      Effect.gen(function*() {
        const result = yield* run(scripts.finish, [again ? 1 : 0, ...yield* tryCodec(toArguments)])
        if (result === null) return yield* new LeaseLost({ taskId: claim.taskId, token: claim.token })
        return toHeadOption(result[0])
      }), toTaskBackendError("finish"))
  }

  const putIntent: Service["putIntent"] = (id, { key, value }, options) => {
    const reason = key === cancelKey ? cancelReason(value) : undefined
    const toArguments = (): ReadonlyArray<Argument> => [
      id,
      options?.userId === undefined ? "" : `=${options.userId}`,
      key,
      JSON.stringify(value),
      key === cancelKey ? 1 : 0,
      toText(reason) ?? ""
    ]
    return withRetries((again) =>
      Effect.gen(function*() {
        const result = yield* run(scripts.putIntent, [again ? 1 : 0, ...yield* tryCodec(toArguments)])
        if (result === null) return yield* new TaskNotFound({ taskId: id })
        const [written, recorded, values, promoted] = result
        return yield* tryCodec(() => ({
          written: written === 1,
          value: Option.map(Option.fromNullOr(recorded), decodeValue),
          task: toTask(toRow(values)),
          promoted: toHeadOption(promoted)
        }))
      }), toTaskBackendError("putIntent"))
  }

  const deleteConversation: Service["deleteConversation"] = ({ conversationId, userId }) =>
    withRetries(
      () =>
        Effect.flatMap(run(deletion.deleteConversation, [conversationId, userId]), (answer) => {
          if (answer[0] === "busy") return new ConversationBusy({ conversationId, activeTaskId: answer[1] })
          const [, tasks, events, intents] = answer
          return Effect.succeed({ tasks, events, intents })
        }),
      toTaskBackendError("deleteConversation")
    )

  const forgetUser: Service["forgetUser"] = (userId) =>
    withRetries(() => Effect.asVoid(run(deletion.forgetUser, [userId])), toTaskBackendError("forgetUser"))

  return { create, finish, putIntent, deleteConversation, forgetUser }
}
