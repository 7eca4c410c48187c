/**
 * The commands of operators: the tasks of all users, and the processes that execute them.
 */
import { AgentId, RunnerId, TaskId } from "@perennial/domain/Ids"
import { Runner } from "@perennial/domain/Runner"
import { TaskStatus } from "@perennial/domain/Task"
import { TaskRecord, TaskRecords } from "@perennial/domain/TaskRecords"
import { Effect, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { brief, Output, table, toJson } from "./output.ts"
import * as Place from "./place.ts"
import { Json, place, User } from "./settings.ts"
import { timeOf } from "./tasks.ts"

const encodeRecord = Schema.encodeSync(Schema.toCodecJson(TaskRecord))
const encodeRunner = Schema.encodeSync(Schema.toCodecJson(Runner))

/** How many runners are printed. */
const maxRunners = 1_000

const records = Command.make("records", {
  status: Flag.Literals("status", TaskStatus.literals).pipe(
    Flag.withDescription("Only tasks with this status; may be repeated"),
    Flag.between(0, 5)
  ),
  agent: Flag.String("agent").pipe(
    Flag.withMetavar("ID"),
    Flag.withSchema(AgentId),
    Flag.withDescription("Only the tasks of this agent"),
    Flag.optional
  ),
  runner: Flag.String("runner").pipe(
    Flag.withMetavar("ID"),
    Flag.withSchema(RunnerId),
    Flag.withDescription("Only the tasks that this process executes"),
    Flag.optional
  ),
  limit: Flag.Int("limit").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000 }))),
    Flag.withDescription("At most so many tasks, 1 to 1000"),
    Flag.withDefault(20)
  ),
  before: Flag.String("before").pipe(
    Flag.withSchema(TaskId),
    Flag.withMetavar("ID"),
    Flag.withDescription("Only tasks older than this one: the last task of the page before"),
    Flag.optional
  )
}, ({ agent, before, limit, runner, status }) =>
  Effect.gen(function*() {
    const output = yield* Output
    const { records } = yield* TaskRecords
    const found = yield* records({
      userId: Option.getOrUndefined(yield* User),
      agentId: Option.getOrUndefined(agent),
      runner: Option.getOrUndefined(runner),
      status: status.length === 0 ? undefined : status,
      before: Option.getOrUndefined(before),
      limit
    })
    if (yield* Json) return yield* output.write(`${toJson({ items: found.map((record) => encodeRecord(record)) })}\n`)
    if (found.length === 0) return yield* output.note("There are no tasks.")
    yield* output.write(table(found.map((record) => [
      record.id,
      record.waitingSince === undefined ? record.status : "waiting",
      timeOf(record.createdAt),
      brief(record.userId, 30),
      brief(record.agentId, 20),
      record.runner ?? record.error?.code ?? ""
    ])))
  })).pipe(
    Command.withDescription("As an operator, list the tasks of all users, newest first, or with --user of one."),
    Command.provide(Place.layerOfUser),
    Command.withGlobalFlags(place)
  )

const runners = Command.make("runners", {}, () =>
  Effect.gen(function*() {
    const output = yield* Output
    const { runners } = yield* TaskRecords
    const found = yield* runners({ limit: maxRunners })
    if (yield* Json) return yield* output.write(`${toJson({ items: found.map((runner) => encodeRunner(runner)) })}\n`)
    if (found.length === 0) return yield* output.note("No process executes tasks.")
    yield* output.write(
      table(found.map(({ agents = [], capacity, id, queued, renewedAt, running, shards, version, waiting }) => [
        id,
        version ?? "",
        `${running - waiting} of ${capacity ?? "?"} running`,
        `${waiting} waiting`,
        shards === undefined ? "" : `${shards} shards, ${queued ?? 0} queued`,
        renewedAt === undefined ? "" : `heard ${timeOf(renewedAt)}`,
        brief(agents.join(", "), 60)
      ]))
    )
  })).pipe(
    Command.withDescription("As an operator, list the processes that execute tasks."),
    Command.provide(Place.layer),
    Command.withGlobalFlags(place)
  )

export const commands = [records, runners] as const
