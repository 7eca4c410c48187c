/** The OpenAPI document: what a generated client and a reader of `/docs` rely on. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { body, type Call, makeCall, post } from "./support.ts"

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
  it.effect("every operation has a summary, every parameter a description", () =>
    Effect.gen(function*() {
      const operations = operationsOf(yield* document)
      assert.isAtLeast(operations.length, 14)
      for (const { operation } of operations) {
        assert.isNotEmpty(operation.summary, operation.operationId)
        for (const { description, name } of operation.parameters) {
          assert.isNotEmpty(description, `${operation.operationId} ${name}`)
          // OpenAPI ignores a parameter of this name.
          assert.notStrictEqual(name, "accept")
        }
      }
    }))

  it.effect("the body that it shows is one that the server accepts", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      let bodies = 0
      for (const { method, operation, path } of operationsOf(yield* read(call))) {
        const media = operation.requestBody?.content["application/json"]
        if (media === undefined) continue
        bodies++
        assert.strictEqual(media.example === undefined, false, operation.operationId)
        const response = yield* call(path.replaceAll(/\{\w+\}/g, "x"), { ...post(media.example), method })
        // The things that these paths name do not exist; the body is right.
        assert.include([200, 201, 404], response.status, operation.operationId)
        yield* body(response)
      }
      assert.strictEqual(bodies, 5)
    }))

  it.effect("a body that may be left out is not required, and any other is", () =>
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

  it.effect("numbers are integers with the bounds that the server keeps", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const statusOf = (path: string, name: string, place: string, value: number) =>
        Effect.gen(function*() {
          const at = path.replaceAll(/\{\w+\}/g, "x")
          const response = yield* place === "query"
            ? call(`${at}?${name}=${value}`)
            : call(at, { headers: { [name]: `${value}` } })
          yield* body(response)
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
      assert.strictEqual(numbers, 6)
    }))

  it.effect("413 and 415 are declared where there is a body, 405 everywhere", () =>
    Effect.gen(function*() {
      for (const { operation } of operationsOf(yield* document)) {
        const statuses = Object.keys(operation.responses)
        assert.include(statuses, "405", operation.operationId)
        for (const status of ["413", "415"]) {
          assert.strictEqual(statuses.includes(status), operation.requestBody !== undefined, operation.operationId)
        }
      }
    }))

  it.effect("what clients see often are named components, and every reference leads to one", () =>
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

  it.effect("no object is closed: fields are only ever added", () =>
    Effect.gen(function*() {
      const text = JSON.stringify(yield* document)
      assert.notInclude(text, "additionalProperties\":false")
      assert.notInclude(text, "x-effect")
      assert.notInclude(text, "Infinity")
    }))

  it.effect("the scheme of the token is `bearer`, as its registry spells it", () =>
    Effect.gen(function*() {
      const { components } = yield* document
      assert.deepStrictEqual(components.securitySchemes["bearer"], { type: "http", scheme: "bearer" })
    }))

  it.effect("says where the server is", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* document).servers, [{ url: "/" }])
    }))
})
