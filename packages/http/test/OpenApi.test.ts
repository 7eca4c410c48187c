/** The OpenAPI document, which generated clients and the page `/docs` use. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { body, type Call, discard, makeCall, post } from "./support.ts"

interface Schema {
  readonly [key: string]: unknown
  readonly type?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly $ref?: string
}

interface Operation {
  readonly operationId: string
  readonly summary?: string
  readonly parameters: ReadonlyArray<{
    readonly name: string
    readonly in: string
    readonly description?: string
    readonly schema: Schema
  }>
  readonly requestBody?: {
    readonly required: boolean
    readonly content: { readonly "application/json": { readonly schema: Schema; readonly example: unknown } }
  }
  readonly responses: {
    readonly [status: string]: { readonly content?: { readonly [type: string]: { readonly schema: Schema } } }
  }
}

interface Document {
  readonly servers: ReadonlyArray<{ readonly url: string }>
  readonly paths: { readonly [path: string]: { readonly [method: string]: Operation } }
  readonly components: {
    readonly schemas: { readonly [name: string]: Schema }
    readonly securitySchemes: { readonly [name: string]: { readonly type: string; readonly scheme?: string } }
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
  it.effect("every operation has a summary, and every parameter has a description", () =>
    Effect.gen(function*() {
      const operations = operationsOf(yield* document)
      assert.isAtLeast(operations.length, 14)
      for (const { operation } of operations) {
        assert.isNotEmpty(operation.summary, operation.operationId)
        for (const { description, name } of operation.parameters) {
          assert.isNotEmpty(description, `${operation.operationId} ${name}`)
          // OpenAPI ignores a parameter with the name `accept`.
          assert.notStrictEqual(name, "accept")
        }
      }
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
      assert.strictEqual(bodies, 9)
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
      assert.strictEqual(numbers, 11)
    }))

  it.effect("operations with a body declare 413 and 415, all operations declare 405", () =>
    Effect.gen(function*() {
      for (const { operation } of operationsOf(yield* document)) {
        const statuses = Object.keys(operation.responses)
        assert.include(statuses, "405", operation.operationId)
        for (const status of ["413", "415"]) {
          assert.strictEqual(statuses.includes(status), operation.requestBody !== undefined, operation.operationId)
        }
      }
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
      assert.deepStrictEqual(components.securitySchemes["bearer"], { type: "http", scheme: "bearer" })
    }))

  it.effect("names the URL of the server", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* document).servers, [{ url: "/" }])
    }))
})
