/** The OpenAPI document, which generated clients and the page `/docs` use. */
import { assert, describe, it } from "@effect/vitest"
import * as TaskEvent from "@perennial/domain/TaskEvent"
import { ticketKey } from "@perennial/http/Tickets"
import { Effect } from "effect"
import { body, type Call, discard, makeCall, post } from "./support.ts"

interface Schema {
  readonly [key: string]: unknown
  readonly type?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly $ref?: string
  readonly anyOf?: ReadonlyArray<Schema>
  readonly properties?: { readonly [name: string]: Schema }
  readonly enum?: ReadonlyArray<unknown>
}

interface Media {
  readonly schema: Schema
  readonly example?: unknown
}

interface Operation {
  readonly operationId: string
  readonly summary?: string
  readonly description?: string
  readonly security: ReadonlyArray<{ readonly [scheme: string]: ReadonlyArray<string> }>
  readonly parameters: ReadonlyArray<{
    readonly name: string
    readonly in: string
    readonly description?: string
    readonly schema: Schema
  }>
  readonly requestBody?: {
    readonly required: boolean
    readonly content: { readonly "application/json": Media }
  }
  readonly responses: {
    readonly [status: string]: {
      readonly description: string
      readonly content?: { readonly [type: string]: Media }
    }
  }
}

interface Document {
  readonly servers: ReadonlyArray<{ readonly url: string }>
  readonly paths: { readonly [path: string]: { readonly [method: string]: Operation } }
  readonly components: {
    readonly schemas: { readonly [name: string]: Schema }
    readonly securitySchemes: {
      readonly [name: string]: {
        readonly type: string
        readonly scheme?: string
        readonly name?: string
        readonly description?: string
      }
    }
  }
}

const read = Effect.fnUntraced(function*(call: Call) {
  const response = yield* call("/openapi.json")
  return yield* Effect.promise(() => response.json() as Promise<Document>)
})

const operationsOf = ({ paths }: Document) =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation }))
  )

const document = Effect.flatMap(makeCall(), read)

const refOf = (operation: Operation, status: number, type = "application/json") =>
  operation.responses[status]?.content?.[type]?.schema.$ref

describe("the OpenAPI document", () => {
  it.effect("every operation has an id, a summary and a description, and so have its parameters and responses", () =>
    Effect.gen(function*() {
      const operations = operationsOf(yield* document)
      assert.isAtLeast(operations.length, 14)
      for (const { operation: { description, operationId, parameters, responses, summary } } of operations) {
        assert.isNotEmpty(operationId)
        assert.isNotEmpty(summary, operationId)
        assert.isNotEmpty(description, operationId)
        for (const { description, name } of parameters) {
          assert.isNotEmpty(description, `${operationId} ${name}`)
          // OpenAPI ignores a parameter with the name `accept`.
          assert.notStrictEqual(name, "accept")
        }
        for (const [status, { description }] of Object.entries(responses)) {
          assert.match(description, /^[A-Z].* /, `${operationId} ${status}`)
        }
      }
    }))

  it.effect("every successful response with a body has an example, and every event stream a named event", () =>
    Effect.gen(function*() {
      let streams = 0
      for (const { operation: { operationId, responses } } of operationsOf(yield* document)) {
        for (const [status, { content = {} }] of Object.entries(responses)) {
          if (Number(status) >= 300) continue
          for (const [type, { example, schema }] of Object.entries(content)) {
            assert.isDefined(example, `${operationId} ${status} ${type}`)
            if (type !== "text/event-stream") continue
            streams++
            assert.isDefined(schema.$ref, operationId)
          }
        }
      }
      assert.isAtLeast(streams, 3)
    }))

  it.effect("every error response is a problem by the name of its component, which has the status of the response", () =>
    Effect.gen(function*() {
      const api = yield* document
      for (const { operation: { operationId, responses } } of operationsOf(api)) {
        for (const [status, { content }] of Object.entries(responses)) {
          if (Number(status) < 400) continue
          assert.deepStrictEqual(Object.keys(content ?? {}), ["application/problem+json"], `${operationId} ${status}`)
          const schema = content?.["application/problem+json"]?.schema
          for (const { $ref = "" } of schema?.anyOf ?? [schema ?? {}]) {
            const problem = api.components.schemas[$ref.replace("#/components/schemas/", "")]
            assert.deepStrictEqual(problem?.properties?.["status"]?.enum, [Number(status)], `${operationId} ${$ref}`)
          }
        }
      }
    }))

  it.effect("every operation declares the responses that do not depend on the endpoint, and its credentials", () =>
    Effect.gen(function*() {
      const api = yield* document
      for (const { method, operation, path } of operationsOf(api)) {
        const { operationId, requestBody, responses, security } = operation
        const isPublic = operationId.startsWith("system.") || operationId === "account.signOut"
        const declared = Object.keys(responses)
        const statuses = ["400", "405", "500", ...(isPublic ? [] : ["401", "403", "429", "503"])]
        assert.includeMembers(declared, statuses, operationId)
        for (const status of ["413", "415"]) {
          assert.strictEqual(declared.includes(status), requestBody !== undefined, operationId)
        }
        const schemes = security.flatMap(Object.keys)
        const ticketed = method === "GET" && responses["200"]?.content?.["text/event-stream"] !== undefined
        assert.deepStrictEqual(
          schemes,
          isPublic ? [] : ["bearer", "query", "cookie", ...(ticketed ? ["ticket"] : [])],
          `${method} ${path}`
        )
      }
      for (const { description } of Object.values(api.components.securitySchemes)) assert.isNotEmpty(description)
      assert.strictEqual(api.components.securitySchemes["ticket"]?.name, ticketKey)
    }))

  it.effect("every type of event is a named component, in every union of events", () =>
    Effect.gen(function*() {
      const { components: { schemas } } = yield* document
      const refs = schemas["TaskEvent"]?.anyOf?.map(({ $ref = "" }) => $ref.replace("#/components/schemas/", "")) ?? []
      assert.deepStrictEqual(
        refs.map((name) => schemas[name]?.properties?.["type"]?.enum),
        TaskEvent.Known.members.map((member) => [member.fields.type.literal])
      )
      assert.include(refs, "ToolCallEvent")
      assert.match(String(schemas["TaskEvent"]?.["description"]), /Ignore an object of a `type`/)
    }))

  it.effect("the server accepts the example of each body", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      let bodies = 0
      for (const { method, operation, path } of operationsOf(yield* read(call))) {
        const media = operation.requestBody?.content["application/json"]
        if (media === undefined) continue
        bodies++
        assert.strictEqual(media.example === undefined, false, operation.operationId)
        const response = yield* call(path.replaceAll(/\{\w+\}/g, "x"), { ...post(media.example), method })
        // 404 is right, too: the paths name tasks and conversations that do not exist.
        assert.include([200, 201, 404], response.status, operation.operationId)
        yield* body(response)
      }
      assert.strictEqual(bodies, 10)
    }))

  it.effect("a body is declared as required only if the server requires it", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      for (const { method, operation, path } of operationsOf(yield* read(call))) {
        if (operation.requestBody === undefined) continue
        const response = yield* call(path.replaceAll(/\{\w+\}/g, "x"), { method })
        assert.strictEqual(response.status === 400, operation.requestBody.required, operation.operationId)
        assert.notInclude(JSON.stringify(operation.requestBody), "\"null\"")
        yield* body(response)
      }
    }))

  it.effect("numbers are integers, with the bounds that the server enforces", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const statusOf = (path: string, name: string, place: string, value: number) =>
        Effect.gen(function*() {
          const at = path.replaceAll(/\{\w+\}/g, "x")
          const response = yield* place === "query"
            ? call(`${at}?${name}=${value}`)
            : call(at, { headers: { [name]: `${value}` } })
          yield* discard(response)
          return response.status
        })
      let numbers = 0
      for (const { operation, path } of operationsOf(yield* read(call))) {
        for (const { in: place, name, schema } of operation.parameters) {
          if (schema.type !== "integer") {
            assert.notProperty(schema, "pattern", `${operation.operationId} ${name}`)
            continue
          }
          numbers++
          assert(schema.minimum !== undefined && schema.maximum !== undefined)
          for (const inside of [schema.minimum, schema.maximum]) {
            assert.notStrictEqual(yield* statusOf(path, name, place, inside), 400, `${operation.operationId} ${name}`)
          }
          for (const outside of [schema.minimum - 1, schema.maximum + 1]) {
            assert.strictEqual(yield* statusOf(path, name, place, outside), 400, `${operation.operationId} ${name}`)
          }
        }
      }
      assert.strictEqual(numbers, 13)
    }))

  it.effect("common schemas are named components, and every reference names an existing component", () =>
    Effect.gen(function*() {
      const api = yield* document
      const { schemas } = api.components
      assert.containsAllKeys(schemas, ["Task", "TaskEvent", "StoredEvent", "Conversation", "Message", "StoredMessage"])
      for (const name of Object.keys(schemas)) assert.match(name, /^[A-Z][A-Za-z]*(?<!Encoded)$/)
      for (const [, name = ""] of JSON.stringify(api).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
        assert.property(schemas, name)
        assert.notStrictEqual(schemas[name]?.$ref, `#/components/schemas/${name}`)
      }
      const task = "#/components/schemas/Task"
      const { get: readTask } = api.paths["/tasks/{id}"] ?? {}
      const { post: startTask } = api.paths["/tasks"] ?? {}
      assert(readTask !== undefined && startTask !== undefined)
      assert.deepStrictEqual([refOf(readTask, 200), refOf(startTask, 201)], [task, task])
      assert.deepInclude(schemas["Task"]?.["properties"], { createdAt: { type: "string", format: "date-time" } })
    }))

  it.effect("no object forbids additional fields, since later versions may add fields", () =>
    Effect.gen(function*() {
      const text = JSON.stringify(yield* document)
      assert.notInclude(text, "additionalProperties\":false")
      assert.notInclude(text, "x-effect")
      assert.notInclude(text, "Infinity")
    }))

  it.effect("the security scheme is `bearer`, in the spelling of the registry of schemes", () =>
    Effect.gen(function*() {
      const { components } = yield* document
      assert.deepInclude(components.securitySchemes["bearer"], { type: "http", scheme: "bearer" })
    }))

  it.effect("names the URL of the server", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* document).servers, [{ url: "/" }])
    }))
})
