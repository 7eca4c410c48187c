/**
 * The commands about tasks.
 */
import { ConversationId, TaskId } from "@perennial/domain/Ids"
import { OnBusy, Task, TaskStatus } from "@perennial/domain/Task"
import { TaskManager } from "@perennial/domain/TaskManager"
import { DateTime, Effect, Option, Queue, Schema, Stdio, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { exitCodes, Failure, usage } from "./failure.ts"
import { follow } from "./follow.ts"
import { brief, Output, table, toJson } from "./output.ts"
import * as Place from "./place.ts"
import { Json, place } from "./settings.ts"
import { Signals } from "./signals.ts"

const encodeTask = Schema.encodeSync(Schema.toCodecJson(Task))

const taskArgument = Argument.String("task").pipe(
  Argument.withDescription("The id of the task"),
  Argument.withSchema(TaskId)
)

const agentsFlag = Flag.File("agents").pipe(
  Flag.withMetavar("MODULE"),
  Flag.withDescription("With --store: the module whose agents execute tasks here; default: the built-in assistant"),
  Flag.optional
)

const cancelOnExit = Flag.Boolean("cancel-on-exit").pipe(
  Flag.withDescription("Cancel the task when this program is told to leave before its end"),
  Flag.withDefault(false)
)

/** The time as people write it, in UTC. */
export const timeOf = (time: DateTime.Utc): string => DateTime.formatIso(time).replace("T", " ").replace(/\.\d+Z$/, "Z")

/** Prints a task, for people or for programs. */
const printTask = Effect.fnUntraced(function*(task: Task) {
  const output = yield* Output
  const commandLine = yield* Place.CommandLine
  if (yield* Json) return yield* output.write(`${toJson(encodeTask(task))}\n`)
  const rows = [
    ["task", task.id],
    ["status", output.bold(task.status)],
    ["conversation", task.conversationId],
    ["agent", task.agentId],
    ["title", brief(task.title ?? "", 100)],
    ["output", task.output === undefined ? "" : brief(toJson(task.output), 100)],
    ["accepted", timeOf(task.createdAt)],
    ["changed", timeOf(task.updatedAt)],
    ["attempt", String(task.attempt)],
    ["events", String(task.lastSeq)],
    ["error", task.error === undefined ? "" : brief(`${task.error.detail} (${task.error.code})`, 300)]
  ].filter(([, value]) => value !== "")
  yield* output.write(table(rows))
  for (const { tool, toolCallId } of task.waiting ?? []) {
    yield* output.note(`The tool ${brief(tool, 80)} waits for your decision:`)
    yield* output.note(`  ${commandLine("decide", task.id, toolCallId, "--approve")}   (or --deny)`)
  }
})

/** The words of the command line, or what standard input has. */
const messageOf = Effect.fnUntraced(function*(words: ReadonlyArray<string>) {
  if (words.length !== 1 || words[0] !== "-") return words.join(" ")
  const stdio = yield* Stdio.Stdio
  return yield* Stream.mkString(Stream.decodeText(stdio.stdin)).pipe(
    Effect.mapError(() => usage("The message cannot be read from standard input."))
  )
})

const start = Command.make("start", {
  words: Argument.String("message").pipe(
    Argument.withDescription("The message. - reads it from standard input"),
    Argument.variadic({ min: 1 })
  ),
  conversation: Flag.String("conversation").pipe(
    Flag.withAlias("c"),
    Flag.withMetavar("ID"),
    Flag.withDescription("Continue this conversation; default: a new one"),
    Flag.optional
  ),
  agent: Flag.String("agent").pipe(Flag.withMetavar("ID"), Flag.withDescription("The agent"), Flag.optional),
  onBusy: Flag.Literals("on-busy", OnBusy.literals).pipe(
    Flag.withDescription("If the conversation has an active task"),
    Flag.withDefault("reject")
  ),
  key: Flag.String("idempotency-key").pipe(
    Flag.withMetavar("KEY"),
    Flag.withDescription("The same key with the same message starts nothing new"),
    Flag.optional
  ),
  detach: Flag.Boolean("detach").pipe(
    Flag.withAlias("d"),
    Flag.withDescription("Print the task and leave at once"),
    Flag.withDefault(false)
  ),
  cancelOnExit,
  agents: agentsFlag
}, ({ agent, cancelOnExit, conversation, detach, key, onBusy, words }) =>
  Effect.scoped(Effect.gen(function*() {
    const tasks = yield* TaskManager
    const { listen } = yield* Signals
    const signals = yield* listen
    const commandLine = yield* Place.CommandLine
    const input = {
      message: yield* messageOf(words),
      conversationId: Option.getOrUndefined(conversation),
      agentId: Option.getOrUndefined(agent),
      idempotencyKey: Option.getOrUndefined(key),
      onBusy
    }
    // The signal stays in the queue: if the answer comes in time, the task is left as usual.
    const unknown = Effect.gen(function*() {
      yield* Queue.peek(signals)
      yield* Effect.sleep("2 seconds")
      return yield* new Failure({
        code: exitCodes.interrupted,
        line: `It is not known whether the task was accepted. Look with: ${commandLine("list")}`
      })
    })
    const task = yield* Effect.raceFirst(tasks.start(input), unknown)
    if (detach) return yield* printTask(task)
    yield* follow(task.id, { cancelOnExit, signals })
  }))).pipe(
    Command.withDescription("Start a task and print its answer. Ctrl-C leaves, and the task runs on."),
    Command.provide(({ agents }) => Place.layerExecuting(agents)),
    Command.withGlobalFlags(place),
    Command.withExamples([
      { command: `perennial start "What happens when I leave?"`, description: "Start a task and print its answer" },
      { command: "perennial start --detach --json - < message.txt", description: "Only start it, from a script" }
    ])
  )

const watch = Command.make("watch", {
  task: taskArgument,
  after: Flag.Int("after").pipe(
    Flag.withSchema(Schema.Natural),
    Flag.withMetavar("SEQ"),
    Flag.withDescription("Only the events after this one"),
    Flag.withDefault(0)
  ),
  cancelOnExit,
  agents: agentsFlag
}, ({ after, cancelOnExit, task }) =>
  Effect.scoped(Effect.gen(function*() {
    const { listen } = yield* Signals
    yield* follow(task, { after, cancelOnExit, signals: yield* listen })
  }))).pipe(
    Command.withDescription("Print the events of a task from its beginning, then live, to its end."),
    Command.provide(({ agents }) => Place.layerExecuting(agents)),
    Command.withGlobalFlags(place)
  )

const cancel = Command.make("cancel", {
  task: taskArgument,
  reason: Flag.String("reason").pipe(
    Flag.withMetavar("TEXT"),
    Flag.withDescription("Every reader of the task sees it"),
    Flag.optional
  )
}, ({ reason, task }) =>
  Effect.gen(function*() {
    const tasks = yield* TaskManager
    yield* printTask(yield* tasks.cancel(task, { reason: Option.getOrUndefined(reason) }))
  })).pipe(
    Command.withDescription("Cancel a task, and wait for its end."),
    Command.provide(Place.layer),
    Command.withGlobalFlags(place)
  )

const show = Command.make("show", { task: taskArgument }, ({ task }) =>
  Effect.gen(function*() {
    const tasks = yield* TaskManager
    yield* printTask(yield* tasks.get(task))
  })).pipe(
    Command.withDescription("Print a task."),
    Command.provide(Place.layer),
    Command.withGlobalFlags(place)
  )

const list = Command.make("list", {
  conversation: Flag.String("conversation").pipe(
    Flag.withAlias("c"),
    Flag.withMetavar("ID"),
    Flag.withSchema(ConversationId),
    Flag.withDescription("Only the tasks of this conversation"),
    Flag.optional
  ),
  status: Flag.Literals("status", TaskStatus.literals).pipe(
    Flag.withDescription("Only tasks with this status; may be repeated"),
    Flag.between(0, 5)
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
}, ({ before, conversation, limit, status }) =>
  Effect.gen(function*() {
    const output = yield* Output
    const tasks = yield* TaskManager
    const found = yield* tasks.list({
      conversationId: Option.getOrUndefined(conversation),
      status: status.length === 0 ? undefined : status,
      before: Option.getOrUndefined(before),
      limit
    })
    if (yield* Json) return yield* output.write(`${toJson({ items: found.map((task) => encodeTask(task)) })}\n`)
    if (found.length === 0) return yield* output.note("There are no tasks.")
    yield* output.write(table(found.map((task) => [
      task.id,
      task.waiting === undefined ? task.status : "waiting",
      timeOf(task.createdAt),
      brief(task.agentId, 20),
      brief(task.title ?? task.error?.detail ?? "", 60)
    ])))
  })).pipe(
    Command.withDescription("List tasks, newest first."),
    Command.provide(Place.layer),
    Command.withGlobalFlags(place)
  )

const decide = Command.make("decide", {
  task: taskArgument,
  call: Argument.String("call").pipe(
    Argument.withDescription("The id of the tool call; may be left out if one call waits"),
    Argument.optional
  ),
  approve: Flag.Boolean("approve").pipe(Flag.withDescription("The tool runs"), Flag.withDefault(false)),
  deny: Flag.Boolean("deny").pipe(Flag.withDescription("The tool does not run"), Flag.withDefault(false)),
  reason: Flag.String("reason").pipe(
    Flag.withMetavar("TEXT"),
    Flag.withDescription("The model reads it"),
    Flag.optional
  ),
  args: Flag.String("args").pipe(
    Flag.withSchema(Schema.fromJsonString(Schema.Json)),
    Flag.withMetavar("JSON"),
    Flag.withDescription("With --approve: the tool gets these arguments"),
    Flag.optional
  )
}, ({ approve, args, call, deny, reason, task }) =>
  Effect.gen(function*() {
    if (approve === deny) return yield* usage("Say either --approve or --deny.")
    const output = yield* Output
    const tasks = yield* TaskManager
    const waiting = Option.isSome(call) ? [] : (yield* tasks.get(task)).waiting ?? []
    if (Option.isNone(call) && waiting.length !== 1) {
      return yield* new Failure({
        code: waiting.length === 0 ? exitCodes.notFound : exitCodes.usage,
        line: waiting.length === 0
          ? `No tool call of task ${task} waits for a decision.`
          : `${waiting.length} tool calls wait: name one of ${waiting.map(({ toolCallId }) => toolCallId).join(", ")}.`
      })
    }
    const toolCallId = Option.getOrElse(call, () => waiting[0]?.toolCallId ?? "")
    const decision = {
      approved: approve,
      ...Option.match(reason, { onNone: () => ({}), onSome: (reason) => ({ reason }) }),
      ...Option.match(args, { onNone: () => ({}), onSome: (args) => ({ args }) })
    }
    yield* tasks.decide(task, toolCallId, decision)
    if (yield* Json) return yield* output.write(`${toJson({ taskId: task, toolCallId, decision })}\n`)
    yield* output.write(`The tool call ${toolCallId} is ${approve ? "approved" : "denied"}.\n`)
  })).pipe(
    Command.withDescription("Approve or deny a tool call that waits for you."),
    Command.provide(Place.layer),
    Command.withGlobalFlags(place)
  )

export const commands = [start, watch, cancel, decide, list, show] as const
