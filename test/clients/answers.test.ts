/** The answers of a server, before the schemas of its OpenAPI document. New endpoints join by themselves. */
import { assert, describe, it } from "@effect/vitest"
import * as NodeWebhookClient from "@perennial/http/NodeWebhookClient"
import { Ajv2020 } from "ajv/dist/2020.js"
import { Effect, Layer, Predicate } from "effect"
import { body, type Call, json, layerLocal, makeCall, post } from "../../packages/http/test/support.ts"

interface Operation {
  readonly operationId: string
  readonly requestBody?: { readonly content: { readonly "application/json": { readonly example: unknown } } }
  readonly responses: { readonly [status: string]: { readonly content?: { readonly [type: string]: unknown } } }
}

interface Document {
  readonly paths: { readonly [path: string]: { readonly [method: string]: Operation } }
}

const dateTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** Checks a value with the schema at a place of the document. Returns what is wrong. */
const makeValidator = (document: Document) => {
  const ajv = new Ajv2020({ strict: false, allErrors: false, formats: { "date-time": dateTime } })
  ajv.addSchema(document, "openapi.json")
  return (place: ReadonlyArray<string>, value: unknown): string | undefined => {
    const pointer = place.map((part) => encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/")
    const validate = ajv.getSchema(`openapi.json#/${pointer}`)
    if (validate === undefined) return "has no schema"
    return validate(value) === true ? undefined : ajv.errorsText(validate.errors)
  }
}

/** What a stream shows before nothing more happens. */
const last = new Set(["done", "snapshot", "tool_approval"])

/** Reads a stream until nothing more happens. Returns the JSON of each frame. */
const frames = (response: Response) =>
  Effect.promise(async () => {
    const chunks = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    const data = (text: string) => [...text.matchAll(/^data: (.*)\n\n/gm)].map(([, line = ""]) => JSON.parse(line))
    let text = ""
    for (;;) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- a stream has an order
      const { done, value } = await chunks?.read() ?? { done: true, value: undefined }
      text += value ?? ""
      if (!done && !data(text).some((each) => last.has(each.type))) continue
      // oxlint-disable-next-line eslint/no-await-in-loop -- the loop ends here
      await chunks?.cancel()
      return data(text)
    }
  })

/** The JSON of a body. A body of lines has a value on each. */
const parse = (type: string, text: string): ReadonlyArray<unknown> =>
  (type === "application/x-ndjson" ? text.trimEnd().split("\n") : [text]).map((line) => JSON.parse(line))

/** A task that waits for a person, or has ended, and a webhook if the path needs one. */
const prepare = Effect.fnUntraced(function*(call: Call, ended: boolean, path: string) {
  const chat = yield* call("/chat", post({ message: ended ? "title one" : "title approve", metadata: { a: [1] } }))
  yield* frames(chat)
  const id = decodeURIComponent(/^\/tasks\/(.+)$/.exec(chat.headers.get("location") ?? "")?.[1] ?? "")
  const { conversationId } = yield* json(yield* call(`/tasks/${id}`))
  const webhook = path.startsWith("/webhooks/")
    ? yield* json(yield* call("/webhooks", post({ url: "https://example.com/" })))
    : undefined
  return { id, conversationId, webhook: webhook?.id ?? "" }
})

type Ids = Effect.Success<ReturnType<typeof prepare>>

const fill = (path: string, { conversationId, id, webhook }: Ids): string =>
  path
    .replace("/conversations/{id}", `/conversations/${conversationId}`)
    .replace("/webhooks/{id}", `/webhooks/${webhook}`)
    .replace("{id}", id)
    .replace("{userId}", "local")
    .replace("{toolCallId}", encodeURIComponent("call/1"))

/** What is wrong with an answer. */
const check = Effect.fnUntraced(function*(
  response: Response,
  operation: Operation,
  validate: (place: ReadonlyArray<string>, value: unknown) => string | undefined
) {
  const status = String(response.status)
  const { content } = operation.responses[status] ?? {}
  if (operation.responses[status] === undefined) return `${status} is not declared`
  const type = response.headers.get("content-type")?.split(";")[0]
  if (type === undefined) return content === undefined ? undefined : `${status} has no body`
  if (content?.[type] === undefined) return `${status} ${type} is not declared`
  const values = type === "text/event-stream" ? yield* frames(response) : parse(type, yield* body(response))
  const place = ["responses", status, "content", type, "schema"]
  const problems = values.map((value) => validate(place, value))
  return values.length === 0 ? `${status} has no event` : problems.find(Predicate.isNotUndefined)
})

/** Only pages of the server sign in and out. */
const notFromPage = ["account.signIn 403", "account.signOut 403"]

describe("every answer is one that the OpenAPI document declares", () => {
  for (
    const [name, ended, expected] of [
      ["of a task that has ended", true, ["tasks.decide 404"]],
      ["of a task that waits for a person", false, ["conversations.regenerate 409", "conversations.remove 409"]]
    ] as const
  ) {
    it.live(name, () =>
      Effect.gen(function*() {
        // A server without it has no webhooks.
        const call = yield* makeCall({ auth: Layer.merge(layerLocal, NodeWebhookClient.layer()) })
        const document: Document = JSON.parse(yield* body(yield* call("/openapi.json")))
        const validate = makeValidator(document)
        const refused: Array<string> = []
        const wrong: Array<string> = []
        for (const [path, methods] of Object.entries(document.paths)) {
          for (const [method, operation] of Object.entries(methods)) {
            const ids = yield* prepare(call, ended, path)
            const example = operation.requestBody?.content["application/json"].example
            for (const accept of Object.keys(operation.responses["200"]?.content ?? { "*/*": {} })) {
              const { headers, ...rest } = example === undefined ? { headers: {} } : post(example)
              const response = yield* call(fill(path, ids), {
                ...rest,
                headers: { ...headers, accept },
                method: method.toUpperCase()
              })
              const problem = yield* check(response, operation, (place, value) =>
                validate(["paths", path, method, ...place], value))
              if (problem !== undefined) {
                wrong.push(`${operation.operationId} as ${accept}: ${problem}`)
              }
              if (response.status >= 400) {
                refused.push(`${operation.operationId} ${response.status}`)
              }
              // A second request would not find what the first has removed.
              if (method === "delete") {
                break
              }
            }
          }
        }
        assert.deepStrictEqual(wrong, [])
        assert.sameMembers(refused, [...expected, ...notFromPage])
      }))
  }
})
