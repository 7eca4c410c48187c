/**
 * The stores as the runtime uses them: every call ends, and none throws. A store may be an application's own, and a call that
 * never answers would hold a task, or every commit of this process, for ever (P8, P11).
 */
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { ConversationStoreError, TaskBackendError } from "@perennial/domain/TaskError"
import { Clock, Context, Duration, Effect, Layer } from "effect"
import { CurrentTaskLimits } from "../../TaskLimits.ts"
import { PendingWrites, WritesAnswered } from "./pendingWrites.ts"

/** The names of the members of `S` that are methods. The compiler sees to it that no name is missing. */
type Methods<S> = {
  readonly [Name in keyof S as S[Name] extends (...args: never) => unknown ? Name : never]: true
}

const backendMethods: Methods<TaskBackend["Service"]> = {
  create: true,
  get: true,
  list: true,
  nextTask: true,
  counts: true,
  records: true,
  countRecords: true,
  throughput: true,
  runners: true,
  head: true,
  claim: true,
  append: true,
  finish: true,
  release: true,
  events: true,
  lastSeqs: true,
  owners: true,
  heartbeat: true,
  unowned: true,
  putIntent: true,
  intents: true,
  ended: true,
  prune: true,
  deleteConversation: true,
  forgetUser: true
}

const storeMethods: Methods<ConversationStore["Service"]> = {
  create: true,
  get: true,
  list: true,
  messages: true,
  replaced: true,
  append: true,
  setTitle: true,
  delete: true
}

type Failure = TaskBackendError | ConversationStoreError

/** Methods whose calls fail without an answer in time. What a call throws is a defect of its effect. */
const bounded = <S extends object>(
  service: S,
  methods: Methods<S>,
  limit: Duration.Duration,
  toFailure: (operation: string) => Failure
): Pick<S, keyof Methods<S> & keyof S> => {
  const target: object = service
  const bind = (name: string) => (...args: ReadonlyArray<unknown>) =>
    Effect.timeoutOrElse(
      Effect.suspend((): Effect.Effect<unknown, Failure> => Reflect.apply(Reflect.get(target, name), target, args)),
      { duration: limit, orElse: () => Effect.fail(toFailure(name)) }
    )
  // Each method keeps its type: it takes and returns the same, and the port declares the failure.
  return Object.fromEntries(Object.keys(methods).map((name) => [name, bind(name)])) as Pick<
    S,
    keyof Methods<S> & keyof S
  >
}

/** The stores of the application, with bounds. */
export const layer: Layer.Layer<TaskBackend | ConversationStore, never, TaskBackend | ConversationStore> = Layer
  .effectContext(Effect.gen(function*() {
    const { heartbeat, storeTimeout } = yield* CurrentTaskLimits
    const writes = new PendingWrites(yield* Clock.Clock, heartbeat)
    const backend = yield* TaskBackend
    const store = yield* ConversationStore
    const cause = `No answer within ${Duration.format(storeTimeout)}.`
    const calls = bounded(
      backend,
      backendMethods,
      storeTimeout,
      (operation) => new TaskBackendError({ operation, cause })
    )
    const conversations = bounded(
      store,
      storeMethods,
      storeTimeout,
      (operation) => new ConversationStoreError({ operation, cause })
    )
    return Context.make(TaskBackend, {
      commitWindow: backend.commitWindow,
      wakes: backend.wakes,
      ...calls,
      create: (...args) => writes.track(calls.create(...args)),
      append: (...args) => writes.track(calls.append(...args)),
      finish: (...args) => writes.track(calls.finish(...args)),
      putIntent: (...args) => writes.track(calls.putIntent(...args))
    }).pipe(
      Context.add(WritesAnswered, writes.answered),
      Context.add(ConversationStore, {
        ...conversations,
        create: (...args) => writes.track(conversations.create(...args)),
        append: (...args) => writes.track(conversations.append(...args))
      })
    )
  }))
