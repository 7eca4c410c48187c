/** `TaskManager` over HTTP: the tasks of a server. */
import * as Decision from "@perennial/domain/Decision"
import { ConversationId, NewId, type TaskId } from "@perennial/domain/Ids"
import * as Input from "@perennial/domain/Input"
import { decodeRegenerate, decodeStart } from "@perennial/domain/StartInput"
import { isTerminal, type Task } from "@perennial/domain/Task"
import {
  ConversationNotFound,
  CursorAhead,
  EventsExpired,
  StreamLost,
  TaskBackendError,
  TaskNotFound
} from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { decodeCancel, openWith, runningOf, TaskManager } from "@perennial/domain/TaskManager"
import * as TaskResult from "@perennial/domain/TaskResult"
import { Effect, Schema, Stream } from "effect"
import type { Api, EventPage } from "../Api.ts"
import type { Watch } from "../Watch.ts"
import { check, type WatchConversation } from "./conversationWatch.ts"
import type { WatchFeed } from "./feedWatch.ts"
import type { LenientClient } from "./lenientClient.ts"
import { repeated, withoutUndefined } from "./repeated.ts"
import * as TreeWatch from "./treeWatch.ts"
import { withInvalidInput, withTaskErrors } from "./withTaskErrors.ts"

const decodeConversation = Input.decoder(Schema.Struct({ conversationId: ConversationId }), "input")

export const makeRemote = (
  client: LenientClient<typeof Api> & {
    readonly watch: Watch
    readonly watchFeed: WatchFeed
    readonly watchConversation: WatchConversation
    readonly watchTree: TreeWatch.WatchTree
  }
): TaskManager["Service"] => {
  /** A start whose answer was lost may have been accepted: with a key it is safe to repeat. */
  const keyOf = (key: string | undefined) => key === undefined ? Effect.flatten(NewId) : Effect.succeed(key)

  const start: TaskManager["Service"]["start"] = Effect.fn("TaskManager.start")(function*(input) {
    const { idempotencyKey, logContext: _, ...payload } = yield* decodeStart(input)
    const headers = { "idempotency-key": yield* keyOf(idempotencyKey) }
    const { body } = yield* client.tasks.start({ payload, headers }).pipe(
      repeated,
      withInvalidInput,
      withTaskErrors("start")
    )
    return body
  })

  const regenerate: TaskManager["Service"]["regenerate"] = Effect.fn("TaskManager.regenerate")(
    function*(id, options = {}) {
      const { conversationId } = yield* decodeConversation({ conversationId: id })
      const { idempotencyKey, logContext: _, ...payload } = yield* decodeRegenerate(options)
      const headers = { "idempotency-key": yield* keyOf(idempotencyKey) }
      const { body } = yield* client.conversations.regenerate({ params: { id: conversationId }, payload, headers })
        .pipe(
          repeated,
          withInvalidInput,
          withTaskErrors("regenerate")
        )
      return body
    }
  )

  const get = (id: TaskId) => client.tasks.get({ params: { id } }).pipe(repeated, withTaskErrors("get"))

  /** A page of the log. The server ends it early when its events are large. */
  const page = (id: TaskId, after: number, limit: number) =>
    client.tasks.events({ params: { id }, query: { after, limit }, headers: { accept: "application/json" } }).pipe(
      repeated,
      withTaskErrors("events"),
      Effect.filterOrFail(
        (answer): answer is EventPage => answer !== undefined && !Stream.isStream(answer),
        () => new TaskBackendError({ operation: "events", cause: new Error("The server answered without a page.") })
      )
    )

  const follow = (id: TaskId, from: number): Stream.Stream<StoredEvent, StreamLost> =>
    Stream.suspend(() => {
      let after = from
      return client.watch(id, { after }).pipe(
        Stream.tap(({ seq }) =>
          Effect.sync(() => {
            after = seq
          })
        ),
        Stream.mapError(({ message }) => new StreamLost({ taskId: id, after, reason: message }))
      )
    })

  const open = openWith({ get, checkLog: (id, after) => page(id, after, 1), follow })

  const ended = (task: Task) => isTerminal(task.status) ? Effect.void : Stream.runDrain(follow(task.id, task.lastSeq))

  const cancel: TaskManager["Service"]["cancel"] = Effect.fn("TaskManager.cancel")(function*(id, options = {}) {
    const payload = yield* decodeCancel(options)
    const task = yield* client.tasks.cancel({ params: { id }, payload }).pipe(
      repeated,
      withInvalidInput,
      withTaskErrors("cancel")
    )
    if (isTerminal(task.status)) return task
    yield* ended(task).pipe(Effect.mapError((cause) => new TaskBackendError({ operation: "cancel", cause })))
    return yield* get(id)
  })

  const list: TaskManager["Service"]["list"] = Effect.fn("TaskManager.list")(
    function*({ text, waiting, ...options } = {}) {
      const limit = Math.min(1_000, Math.max(1, options.limit ?? 100))
      const cursor = options.order === "oldest" ? "after" : "before"
      const filter = {
        ...withoutUndefined(options),
        ...(text !== undefined && { q: text }),
        ...(waiting === true && { waiting: "true" as const })
      }
      const tasks: Array<Task> = []
      let page = {}
      while (tasks.length < limit) {
        const query = { ...filter, ...page, limit: Math.min(100, limit - tasks.length) }
        const { items, next } = yield* client.tasks.list({ query }).pipe(repeated, withTaskErrors("list"))
        for (const task of items) tasks.push(task)
        if (next === undefined) break
        page = { [cursor]: next }
      }
      return tasks
    }
  )

  const counts: TaskManager["Service"]["counts"] = Effect.fn("TaskManager.counts")((options = {}) =>
    client.tasks.counts({ query: withoutUndefined(options) }).pipe(repeated, withTaskErrors("counts"))
  )

  const throughput = client.tasks.throughput().pipe(
    repeated,
    withTaskErrors("throughput"),
    Effect.withSpan("TaskManager.throughput")
  )

  /** Events of an ended task, over as many pages as the server makes of them. */
  const eventsOf = Effect.fnUntraced(function*(id: TaskId, { after, limit }: { after: number; limit: number }) {
    const events: Array<StoredEvent> = []
    while (events.length < limit) {
      const answer = yield* page(id, after + events.length, limit - events.length)
      for (const event of answer.events) events.push(event)
      if (answer.events.length === 0 || after + events.length >= answer.lastSeq) break
    }
    return events
  })

  const await_ = Effect.fn("TaskManager.await")(function*(id: TaskId) {
    const seen = yield* get(id)
    yield* ended(seen)
    const task = isTerminal(seen.status) ? seen : yield* get(id)
    return yield* TaskResult.read(task, (page) => eventsOf(id, page)).pipe(
      Effect.catchTag(
        "CursorAhead",
        ({ after, message }) => Effect.fail(new StreamLost({ taskId: id, after, reason: message }))
      )
    )
  })

  const decide: TaskManager["Service"]["decide"] = Effect.fn("TaskManager.decide")(function*(id, toolCallId, given) {
    const payload = yield* Decision.decode(given)
    yield* client.tasks.decide({ params: { id, toolCallId }, payload }).pipe(
      repeated,
      withInvalidInput,
      withTaskErrors("decide")
    )
  })

  const approvals: TaskManager["Service"]["approvals"] = Effect.fn("TaskManager.approvals")(
    ({ before, limit = 20 } = {}) =>
      client.feed.approvals({
        query: { ...(before && { before }), limit: Math.min(100, Math.max(1, limit)) }
      }).pipe(repeated, withTaskErrors("approvals"))
  )

  const feed: TaskManager["Service"]["feed"] = Effect.fn("TaskManager.feed")((options) =>
    // Fails before the stream if the server cannot be reached.
    Effect.as(
      client.tasks.list({ query: { limit: 1 } }).pipe(repeated, withTaskErrors("feed")),
      Stream.mapError(client.watchFeed(options), (cause) => new TaskBackendError({ operation: "feed", cause }))
    )
  )

  const conversationEvents: TaskManager["Service"]["conversationEvents"] = Effect.fn("TaskManager.conversationEvents")(
    function*(id, { after } = {}) {
      // The server refuses before the stream.
      yield* check(client.conversations.events, id, after).pipe(
        repeated,
        Effect.mapError((error) => {
          switch (error._tag) {
            case "ConversationNotFound":
              return new ConversationNotFound(error)
            case "CursorAhead":
              return new CursorAhead(error)
            case "EventsExpired":
              return new EventsExpired(error)
            default:
              return new TaskBackendError({ operation: "conversationEvents", cause: error })
          }
        })
      )
      return client.watchConversation(id, { after }).pipe(
        Stream.catchTag("ConversationNotFound", () => Stream.empty),
        Stream.mapError((cause) => new TaskBackendError({ operation: "conversationEvents", cause }))
      )
    }
  )

  const treeEvents: TaskManager["Service"]["treeEvents"] = Effect.fn("TaskManager.treeEvents")(
    function*(id, { after } = {}) {
      // The server refuses before the stream.
      yield* TreeWatch.check(client.tasks.tree, id, after).pipe(
        repeated,
        Effect.mapError((error) => {
          switch (error._tag) {
            case "TaskNotFound":
              return new TaskNotFound(error)
            case "CursorAhead":
              return new CursorAhead(error)
            case "EventsExpired":
              return new EventsExpired(error)
            default:
              return new TaskBackendError({ operation: "treeEvents", cause: error })
          }
        })
      )
      return client.watchTree(id, { after }).pipe(
        Stream.mapError((cause) => new TaskBackendError({ operation: "treeEvents", cause }))
      )
    }
  )

  const agents = Effect.map(
    client.agents.list().pipe(repeated, withTaskErrors("agents")),
    ({ items }) => items
  ).pipe(Effect.withSpan("TaskManager.agents"))

  const deleteConversation: TaskManager["Service"]["deleteConversation"] = Effect.fn("TaskManager.deleteConversation")(
    // Not repeated: when its answer was lost, the conversation would not be found.
    (id) => client.conversations.remove({ params: { id } }).pipe(withTaskErrors("deleteConversation"))
  )

  return TaskManager.of({
    start,
    regenerate,
    events: (id, options) => Effect.map(open(id, options), ({ events }) => events),
    open,
    conversationEvents,
    treeEvents,
    cancel,
    get: Effect.fn("TaskManager.get")(get),
    list,
    counts,
    throughput,
    running: Effect.withSpan(runningOf(list), "TaskManager.running"),
    await: await_,
    decide,
    approvals,
    feed,
    agents,
    deleteConversation
  })
}
