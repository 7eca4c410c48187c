/**
 * What the OpenAPI document says of each endpoint besides what effect derives from the schemas: summaries, descriptions,
 * parameters and examples. `openApiDocument.ts` completes the whole document.
 */
import { OpenApi } from "effect/http-api"

export type Json = { readonly [key: string]: unknown }

/** A parameter: its description, and its schema where it is a number. effect describes the text that comes over the wire. */
interface Parameter {
  readonly description: string
  readonly schema?: Json
}

/** A successful response: what it is, and an example of its JSON body, or of one line of it. */
interface Answer {
  readonly description: string
  readonly example: unknown
}

/** A whole number between these bounds. */
export const integer = (minimum: number, maximum = Number.MAX_SAFE_INTEGER): Json => ({
  type: "integer",
  minimum,
  maximum
})

interface Documentation {
  readonly summary: string
  readonly description: string
  /** Every parameter of the endpoint, by its name; others are left out of the document. */
  readonly parameters?: { readonly [name: string]: Parameter }
  /** A body that the server accepts. */
  readonly example?: Json
  readonly bodyIsOptional?: boolean
  /** The successful responses by status; a description alone for a response that has no JSON body. */
  readonly responses: { readonly [status: number]: Answer | string }
  /** The JSON of one frame, for an endpoint that answers with an event stream. */
  readonly event?: Json
  /** The schema of errors, for an endpoint of another protocol that has no problems. */
  readonly error?: Json
}

const methodNotAllowed: Json = {
  description: "",
  headers: { allow: { description: "The methods of the path.", schema: { type: "string" }, required: true } },
  content: { "application/problem+json": { schema: { $ref: "#/components/schemas/MethodNotAllowed" } } }
}

const isNull = (schema: unknown): boolean => (schema as Json)["type"] === "null"

/** The schema of a body that may be left out; for effect no body is `null`. */
const withoutNull = (schema: Json): Json => {
  const { anyOf, ...rest } = schema
  return Array.isArray(anyOf) ? { ...rest, ...anyOf.find((each) => !isNull(each)) } : schema
}

const describeBody = (body: NonNullable<OpenApi.OpenAPISpecOperation["requestBody"]>, options: Documentation) => ({
  required: options.bodyIsOptional !== true,
  content: Object.fromEntries(
    Object.entries(body.content).map(([type, media]) => [type, {
      ...media,
      schema: withoutNull(media.schema),
      ...(options.example === undefined || type !== "application/json" ? undefined : { example: options.example })
    }])
  )
})

const describeResponse = (
  response: OpenApi.OpenAPISpecOperation["responses"][number],
  answer: Answer | string,
  event: Json | undefined
): Json => {
  const { description, example } = typeof answer === "string" ? { description: answer, example: undefined } : answer
  const examples: { readonly [type: string]: unknown } = {
    "application/json": example,
    "application/x-ndjson": example,
    "text/event-stream": event
  }
  const { content = {} } = response
  return {
    ...response,
    description,
    ...(response.content === undefined ? undefined : {
      content: Object.fromEntries(
        Object.entries(content).map(([type, media]) => [
          type,
          examples[type] === undefined ? media : { ...media, example: examples[type] }
        ])
      )
    })
  }
}

const describeOperation = (operation: OpenApi.OpenAPISpecOperation, options: Documentation): Json => {
  const { requestBody, responses } = operation
  const occurring = Object.entries(responses)
    .filter(([status]) => requestBody !== undefined || (status !== "413" && status !== "415"))
    .map(([status, response]) => {
      const answer = options.responses[Number(status)]
      if (options.error !== undefined && Number(status) >= 400) {
        return [status, {
          description: "The request failed",
          content: { "application/json": { schema: options.error } }
        }]
      }
      return [status, answer === undefined ? response : describeResponse(response, answer, options.event)]
    })
  return {
    ...operation,
    parameters: operation.parameters.flatMap((parameter) => {
      const described = options.parameters?.[parameter.name]
      return described === undefined ? [] : [{ ...parameter, ...described }]
    }),
    responses: { ...Object.fromEntries(occurring), 405: methodNotAllowed },
    ...(requestBody === undefined ? undefined : { requestBody: describeBody(requestBody, options) })
  }
}

/** Documents an endpoint. A test of the document fails for an endpoint that lacks a part. */
export const documented = (options: Documentation) =>
  OpenApi.annotations({
    summary: options.summary,
    description: options.description,
    // effect calls this with the operation that it has made of the endpoint.
    transform: (operation) => describeOperation(operation as OpenApi.OpenAPISpecOperation, options)
  })
