import type { TaskBackend, Wake } from "@perennial/domain"
import type {
  ConversationBusy,
  ConversationNotFound,
  CursorAhead,
  EventsExpired,
  IdempotencyConflict,
  LeaseLost,
  QueueFull,
  TaskBackendError,
  TaskNotFound,
  TooManyActiveTasks
} from "@perennial/domain/TaskError"
import type { Effect, Stream } from "effect"
import { describe, expect, it } from "tstyche"

type Service = TaskBackend.TaskBackend["Service"]
type Method = Exclude<keyof Service, "commitWindow" | "wakes">
type Failure<Name extends Method> = Effect.Error<ReturnType<Service[Name]>>

describe("TaskBackend", () => {
  it("has no requirements", () => {
    expect<Effect.Services<ReturnType<Service[Method]>>>().type.toBe<never>()
    expect<Service["wakes"]>().type.toBe<Stream.Stream<Wake.Wake>>()
  })

  it("P1, P2: create has a typed error for each reason to refuse a task", () => {
    expect<Failure<"create">>().type.toBe<
      ConversationBusy | QueueFull | TooManyActiveTasks | IdempotencyConflict | ConversationNotFound | TaskBackendError
    >()
  })

  it("P3: events has a typed error for each log that cannot be read", () => {
    expect<Failure<"events">>().type.toBe<TaskNotFound | EventsExpired | CursorAhead | TaskBackendError>()
  })

  it("P9: finish has different errors for a lost lease and a failing store", () => {
    expect<Failure<"finish">>().type.toBe<LeaseLost | TaskBackendError>()
  })

  it("the other methods fail only with TaskBackendError", () => {
    expect<Failure<"list" | "claim" | "append" | "release" | "heartbeat" | "unowned" | "prune">>()
      .type.toBe<TaskBackendError>()
  })
})
