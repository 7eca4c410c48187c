import type { AgentId, TaskId } from "@perennial/domain/Ids"
import type { UserMessage } from "@perennial/domain/Message"
import type { StartInput } from "@perennial/domain/StartInput"
import type { Task } from "@perennial/domain/Task"
import type {
  AgentNotFound,
  AlreadyDecided,
  CapacityExceeded,
  ConversationBusy,
  ConversationNotFound,
  ConversationStoreError,
  CursorAhead,
  EventsExpired,
  IdempotencyConflict,
  InvalidInput,
  MessageNotFound,
  NoOutput,
  QueueFull,
  StreamLost,
  TaskBackendError,
  TaskNotFound,
  ToolCallNotFound,
  TooManyActiveTasks
} from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { awaitOutput, type TaskManager } from "@perennial/domain/TaskManager"
import { type Effect, Schema, type Stream } from "effect"
import { describe, expect, it } from "tstyche"

declare const id: TaskId

type Service = TaskManager["Service"]
/** What takes no arguments is an effect. */
type Value = "running" | "agents" | "throughput"
type Method = Exclude<keyof Service, Value>

describe("TaskManager", () => {
  it("has no requirements", () => {
    expect<Effect.Services<ReturnType<Service[Method]> | Service[Value]>>().type.toBe<never>()
  })

  it("start returns the task, and has a typed error for each reason to refuse it", () => {
    expect<ReturnType<Service["start"]>>().type.toBe<
      Effect.Effect<
        Task,
        | ConversationBusy
        | QueueFull
        | TooManyActiveTasks
        | InvalidInput
        | CapacityExceeded
        | AgentNotFound
        | ConversationNotFound
        | MessageNotFound
        | IdempotencyConflict
        | ConversationStoreError
        | TaskBackendError
      >
    >()
  })

  it("the events of a conversation are refused before the stream, which may only be lost", () => {
    expect<ReturnType<Service["conversationEvents"]>>().type.toBe<
      Effect.Effect<
        Stream.Stream<StoredEvent, StreamLost | TaskBackendError>,
        ConversationNotFound | ConversationStoreError | EventsExpired | CursorAhead | TaskBackendError
      >
    >()
  })

  it("start accepts plain strings as ids, and undefined for absent fields", () => {
    expect<StartInput>().type.toBeAssignableFrom<{
      message: string
      agentId: "writer"
      conversationId: "c1"
      replaces: undefined
    }>()
    expect<StartInput>().type.toBeAssignableFrom<{ message: UserMessage; agentId: AgentId }>()
    expect<StartInput>().type.not.toBeAssignableFrom<{ agentId: "writer" }>()
    expect<StartInput>().type.not.toBeAssignableFrom<{ message: string; agentId: number }>()
  })

  it("events fails before it returns the stream; the stream fails only with StreamLost", () => {
    expect<ReturnType<Service["events"]>>().type.toBe<
      Effect.Effect<
        Stream.Stream<StoredEvent, StreamLost>,
        TaskNotFound | EventsExpired | CursorAhead | TaskBackendError
      >
    >()
  })

  it("awaitOutput has the type of the answer, and a typed error for a task without it", () => {
    expect(awaitOutput(id, { output: Schema.Struct({ at: Schema.Date }) })).type.toBe<
      Effect.Effect<
        { readonly at: Date },
        NoOutput | TaskNotFound | EventsExpired | StreamLost | TaskBackendError,
        TaskManager
      >
    >()
  })

  it("cancel and decide have typed errors for unknown tasks and calls", () => {
    expect<ReturnType<Service["cancel"]>>().type.toBe<
      Effect.Effect<Task, InvalidInput | TaskNotFound | TaskBackendError>
    >()
    expect<ReturnType<Service["decide"]>>().type.toBe<
      Effect.Effect<void, InvalidInput | TaskNotFound | ToolCallNotFound | AlreadyDecided | TaskBackendError>
    >()
  })
})
