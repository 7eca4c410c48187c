/**
 * Completes the OpenAPI document that effect derives from the API, so that generated clients can use it: named components,
 * typed event streams, descriptions of problems, credentials.
 */
import { version } from "@perennial/domain/Version"
import { Context } from "effect"
import { HttpApi, OpenApi } from "effect/http-api"
import { MethodNotAllowed } from "../Problems.ts"
import type { Json } from "./openApi.ts"

type Schemas = { readonly [name: string]: Json }

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const fieldOf = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((part, key) => isObject(part) ? part[key] : undefined, value)

const mapValues = <A, B>(record: { readonly [key: string]: A }, f: (value: A, key: string) => B) =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, f(value, key)]))

const refTo = (name: string): Json => ({ $ref: `#/components/schemas/${name}` })
const nameIn = (schema: unknown): string | undefined =>
  /^#\/components\/schemas\/(.+)$/.exec(String(fieldOf(schema, "$ref")))?.[1]

/** The one value of a field, such as the `type` of an event. */
const literalOf = (schema: unknown, field: string): string | undefined => {
  const values = fieldOf(schema, "properties", field, "enum")
  return Array.isArray(values) && values.length === 1 ? String(values[0]) : undefined
}

const nonFinite = JSON.stringify(["Infinity", "-Infinity", "NaN"])
const isNonFinite = (schema: unknown): boolean => JSON.stringify(fieldOf(schema, "enum")) === nonFinite

/** What another version wrote: an object of which only its `type` is known. */
const isUnknown = (schema: unknown): boolean =>
  Object.keys(Object(fieldOf(schema, "properties"))).join() === "type" && literalOf(schema, "type") === undefined

/** A schema that effect gives as JSON in a text, or in its encoded form, has the name of the schema. */
const withoutSuffix = (name: string): string => name.replace(/(?<=.)(?:Json|Encoded)+$/, "")

/** effect's own frames, and the first item of a list that is not empty, which is like the others. */
const omitted = new Set(["x-effect-stream", "prefixItems"])

/**
 * Fields are only ever added, so no object is closed. Numbers in JSON are finite. A component has the name of its schema. A
 * union lists the types of this version, so that a generated client can tell them apart.
 */
const simplify = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.filter((each) => !isNonFinite(each)).map(simplify)
  if (!isObject(value)) return value
  const { anyOf, ...rest } = value
  if (Array.isArray(anyOf) && anyOf.some(isUnknown)) {
    const known = anyOf.filter((each) => !isUnknown(each)).map(simplify)
    if (known.length === 1) return known[0]
    return {
      description: "Later versions may add types. Ignore an object of a `type` that is not listed here.",
      ...rest,
      anyOf: known
    }
  }
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, field]) => !omitted.has(key) && !(key === "additionalProperties" && field === false))
      .map(([key, field]) => {
        if (/(?:At|Since)$/.test(key) && fieldOf(field, "type") === "string") {
          return [key, { type: "string", format: "date-time" }]
        }
        return [key, key === "$ref" ? withoutSuffix(String(field)) : simplify(field)]
      })
  )
}

const capitalized = (type: string): string =>
  type.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** Each type of event is a component: `tool_call` of the union `TaskEvent` is `ToolCallEvent`. */
const nameEvents = (schemas: Schemas): Schemas => {
  const named: { [name: string]: Json } = { ...schemas }
  for (const [union, schema] of Object.entries(schemas)) {
    const { anyOf } = schema
    if (!union.endsWith("Event") || !Array.isArray(anyOf)) continue
    const prefix = union.replace(/^Task|Event$/g, "")
    const members = anyOf.map((member) => {
      const name = `${prefix}${capitalized(literalOf(member, "type") ?? "")}Event`
      named[name] = member
      return refTo(name)
    })
    named[union] = { ...schema, anyOf: members }
  }
  return named
}

const stream = "text/event-stream"

/** OpenAPI 3.1 has no schema for a frame. A stream has the schema of the JSON in `data`, which generators expect. */
const describeStream = (media: Json): Json => ({ ...media, schema: fieldOf(media, "schema", "properties", "data") })

/** The title of a problem says when a response occurs. */
const describeProblems = (schema: unknown, schemas: Schemas): string => {
  const members = fieldOf(schema, "anyOf")
  return (Array.isArray(members) ? members : [schema])
    .map((member) => literalOf(schemas[nameIn(member) ?? ""], "title"))
    .join(". Or: ")
}

const completeResponse = (response: Json, schemas: Schemas): Json => {
  const content = response["content"] as { readonly [type: string]: Json } | undefined
  const problem = content?.["application/problem+json"]
  return {
    ...response,
    ...(problem === undefined ? undefined : { description: describeProblems(problem["schema"], schemas) }),
    ...(content === undefined
      ? undefined
      : { content: mapValues(content, (media, type) => type === stream ? describeStream(media) : media) })
  }
}

const ticketScheme = {
  type: "apiKey",
  name: "ticket",
  in: "query",
  description: "A ticket of `POST /tickets`. It opens event streams, and nothing else."
}

const completeOperation = (operation: Json, method: string, schemas: Schemas): Json => {
  const responses = mapValues(
    operation["responses"] as Schemas,
    (response) => completeResponse(response, schemas)
  )
  const security = operation["security"] as ReadonlyArray<Json>
  const opensWithTicket = method === "get" && Object.hasOwn(Object(fieldOf(responses["200"], "content")), stream)
  return { ...operation, responses, security: opensWithTicket ? [...security, { ticket: [] }] : security }
}

/** The components that the paths use, and those that these use in turn. */
const usedComponents = (paths: unknown, schemas: Schemas): Schemas => {
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

const complete = (document: OpenApi.OpenAPISpec) => {
  const schemas = nameEvents(Object.fromEntries(
    Object.entries(document.components.schemas)
      // An additional schema is there as a reference to its encoded form, and the JSON of a frame as a text.
      .filter(([name, schema]) => nameIn(schema) !== `${name}Encoded` && schema["contentSchema"] === undefined)
      // Frames may have more fields than pages of events.
      .toSorted(([a], [b]) => Number(a.endsWith("Json")) - Number(b.endsWith("Json")))
      .map(([name, schema]) => [withoutSuffix(name), simplify(schema) as Json])
  ))
  const paths = mapValues(
    simplify(document.paths) as { readonly [path: string]: Schemas },
    (methods) => mapValues(methods, (operation, method) => completeOperation(operation, method, schemas))
  )
  // The registry of schemes has `bearer` in lower case, and some pages know it in no other way.
  const securitySchemes = mapValues(
    document.components.securitySchemes,
    (scheme) => scheme.type === "http" ? { ...scheme, scheme: scheme.scheme.toLowerCase() } : scheme
  )
  return {
    ...document,
    paths,
    components: {
      securitySchemes: { ...securitySchemes, ticket: ticketScheme },
      schemas: usedComponents(paths, schemas)
    }
  }
}

/** Documents the API, with the one problem that no endpoint declares: it occurs where there is none. */
export const documentedApi = Context.merge(
  Context.make(HttpApi.AdditionalSchemas, [MethodNotAllowed]),
  OpenApi.annotations({
    title: "Perennial",
    version,
    description: "Runs conversations with AI agents as durable background tasks.",
    license: { name: "MIT", url: "https://opensource.org/license/mit" },
    // effect calls this with the document that it has made of the API.
    transform: (document) => complete(document as OpenApi.OpenAPISpec)
  })
)
