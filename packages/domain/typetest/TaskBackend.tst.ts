import type { TaskBackend } from "@perennial/domain"
import type {
  ConversationBusy,
  ConversationNotFound,
  CursorAhead,
  EventsExpired,
  IdempotencyConflict,
  LeaseLost,
  QueueFull,
  TaskBackendError,
  TaskNotFound
} from "@perennial/domain/TaskError"
import type { Effect, Stream } from "effect"
import { describe, expect, it } from "tstyche"

type Service = TaskBackend.TaskBackend["Service"]
type Method = Exclude<keyof Service, "commitWindow" | "wakes">
type Failure<Name extends Method> = Effect.Error<ReturnType<Service[Name]>>

describe("TaskBackend", () => {
  it("needs nothing from its callers", () => {
    expect<Effect.Services<ReturnType<Service[Method]>>>().type.toBe<never>()
    expect<Service["wakes"]>().type.toBe<Stream.Stream<TaskBackend.Wake>>()
  })

  it("P1, P2: create says why a task was not accepted", () => {
    expect<Failure<"create">>().type.toBe<
      ConversationBusy | QueueFull | IdempotencyConflict | ConversationNotFound | TaskBackendError
    >()
  })

  it("P3: events never ends in silence when there is nothing to read from", () => {
    expect<Failure<"events">>().type.toBe<TaskNotFound | EventsExpired | CursorAhead | TaskBackendError>()
  })

  it("P9: finish tells a lost lease from a failing store", () => {
    expect<Failure<"finish">>().type.toBe<LeaseLost | TaskBackendError>()
  })

  it("fails with the store's error alone where nothing can be refused", () => {
    expect<Failure<"list" | "claim" | "append" | "release" | "heartbeat" | "unowned" | "prune">>()
      .type.toBe<TaskBackendError>()
  })
})
