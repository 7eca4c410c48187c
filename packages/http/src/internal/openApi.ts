/**
 * What the OpenAPI document says besides what effect derives from the schemas: summaries, parameters, examples, and a
 * document that generated clients can use.
 */
import { Context } from "effect"
import { HttpApi, OpenApi } from "effect/http-api"
import { MethodNotAllowed } from "../Problems.ts"

type Json = { readonly [key: string]: unknown }

/** A parameter: its description, and its schema where it is a number. effect describes the text that comes over the wire. */
interface Parameter {
  readonly description: string
  readonly schema?: Json
}

/** A whole number between these bounds. */
export const integer = (minimum: number, maximum = Number.MAX_SAFE_INTEGER): Json => ({
  type: "integer",
  minimum,
  maximum
})

interface Documentation {
  readonly summary: string
  readonly description?: string
  /** Every parameter of the endpoint, by its name; others are left out of the document. */
  readonly parameters?: { readonly [name: string]: Parameter }
  /** A body that the server accepts. */
  readonly example?: Json
  readonly bodyIsOptional?: boolean
  /** What the response of a status is, where its schema does not say it. */
  readonly responses?: { readonly [status: number]: string }
}

const methodNotAllowed: Json = {
  description: "The path does not know the method of the request",
  headers: { allow: { schema: { type: "string" }, required: true } },
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
      ...(options.example === undefined ? undefined : { example: options.example })
    }])
  )
})

const describeOperation = (
  operation: OpenApi.OpenAPISpecOperation,
  options: Documentation
): Json => {
  const { requestBody, responses } = operation
  const occurring = Object.entries(responses)
    .filter(([status]) => requestBody !== undefined || (status !== "413" && status !== "415"))
    .map(([status, response]) => [status, {
      ...response,
      description: options.responses?.[Number(status)] ?? response.description
    }])
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

/** Documents an endpoint. */
export const documented = (options: Documentation) =>
  OpenApi.annotations({
    summary: options.summary,
    description: options.description,
    // effect calls this with the operation that it has made of the endpoint.
    transform: (operation) => describeOperation(operation as OpenApi.OpenAPISpecOperation, options)
  })

const nonFinite = JSON.stringify(["Infinity", "-Infinity", "NaN"])
const isNonFinite = (schema: unknown): boolean => JSON.stringify((schema as Json | null)?.["enum"]) === nonFinite

const withoutSuffix = (name: string): string => name.replace(/Encoded$/, "")

/**
 * Fields are only ever added, so no object is closed. Numbers in JSON are finite. Streams never carry effect's own frames
 * for failures. A component has the name of its schema.
 */
const simplify = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.filter((each) => !isNonFinite(each)).map(simplify)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, field]) => key !== "x-effect-stream" && !(key === "additionalProperties" && field === false))
      .map(([key, field]) => {
        if (key === "createdAt" || key === "updatedAt" || key === "askedAt") {
          return [key, { type: "string", format: "date-time" }]
        }
        return [key, key === "$ref" ? withoutSuffix(String(field)) : simplify(field)]
      })
  )
}

/** The components that the paths use, and those that these use in turn. */
const usedComponents = (paths: unknown, schemas: Json): Json => {
  const used = new Set<string>()
  const visit = (part: unknown): void => {
    for (const [, name = ""] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (used.has(name)) continue
      used.add(name)
      visit(schemas[name])
    }
  }
  visit(paths)
  return Object.fromEntries(Object.entries(schemas).filter(([name]) => used.has(name)))
}

const finish = (document: OpenApi.OpenAPISpec) => {
  const paths = simplify(document.paths)
  const schemas = Object.fromEntries(
    Object.entries(document.components.schemas)
      // An additional schema is there as a reference to its encoded form, which takes its name.
      .filter(([name, schema]) => schema["$ref"] !== `#/components/schemas/${name}Encoded`)
      .map(([name, schema]) => [withoutSuffix(name), simplify(schema)])
  )
  // The registry of schemes has `bearer` in lower case, and some pages know it in no other way.
  const securitySchemes = Object.fromEntries(
    Object.entries(document.components.securitySchemes).map(([name, scheme]) => [
      name,
      scheme.type === "http" ? { ...scheme, scheme: scheme.scheme.toLowerCase() } : scheme
    ])
  )
  return {
    ...document,
    paths,
    components: { securitySchemes, schemas: usedComponents(paths, schemas) }
  }
}

/** Documents the API, with the one problem that no endpoint declares: it occurs where there is none. */
export const documentedApi = Context.merge(
  Context.make(HttpApi.AdditionalSchemas, [MethodNotAllowed]),
  OpenApi.annotations({
    title: "Perennial",
    version: "0.1.0",
    description: "Runs conversations with AI agents as durable background tasks.",
    // effect calls this with the document that it has made of the API.
    transform: (document) => finish(document as OpenApi.OpenAPISpec)
  })
)
