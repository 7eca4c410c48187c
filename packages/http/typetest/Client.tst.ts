import type { TaskId } from "@perennial/domain/Ids"
import type { TaskManager } from "@perennial/domain/TaskManager"
import type { Client } from "@perennial/http"
import type { Effect, Layer, Redacted } from "effect"
import type { HttpClient, HttpClientResponse } from "effect/http"
import { describe, expect, it } from "tstyche"

declare const client: Client.PerennialClient["Service"]
declare const id: TaskId

describe("PerennialClient", () => {
  it("parts of a request without a required field can be left out", () => {
    expect(client.tasks.list).type.toBeCallableWith()
    expect(client.tasks.list).type.toBeCallableWith({ query: { limit: 3 } })
    expect(client.system.ready).type.toBeCallableWith()
    expect(client.tasks.start).type.toBeCallableWith({ payload: { message: "a" } })
    expect(client.tasks.cancel).type.toBeCallableWith({ params: { id } })
    expect(client.tasks.events).type.toBeCallableWith({ params: { id } })
  })

  it("required fields are required", () => {
    expect(client.tasks.get).type.not.toBeCallableWith()
    expect(client.tasks.start).type.not.toBeCallableWith({})
    expect(client.tasks.start).type.not.toBeCallableWith({ payload: {} })
    expect(client.tasks.list).type.not.toBeCallableWith({ query: { limit: "3" } })
  })

  it("returns only the response with `responseMode: \"response-only\"`", () => {
    const response = client.tasks.get<"response-only">({ params: { id }, responseMode: "response-only" })
    expect<Effect.Success<typeof response>>().type.toBe<HttpClientResponse.HttpClientResponse>()
  })
})

describe("layerTaskManager", () => {
  it("needs an HttpClient; a token is a string, a Redacted, or an effect", () => {
    expect<ReturnType<typeof Client.layerTaskManager>>().type.toBe<
      Layer.Layer<TaskManager, never, HttpClient.HttpClient>
    >()
    expect<Client.Options>().type.toBeAssignableFrom<{ baseUrl: string; token: string }>()
    expect<Client.Options>().type.toBeAssignableFrom<{ baseUrl: string; token: Redacted.Redacted }>()
    expect<Client.Options>().type.toBeAssignableFrom<{ baseUrl: string; token: Effect.Effect<Redacted.Redacted> }>()
  })
})
