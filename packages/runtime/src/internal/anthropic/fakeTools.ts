/** The rules of the Messages API for definitions of tools. They are reported, not verified against the real API. */
import { Predicate, Schema } from "effect"

const Strings = Schema.Array(Schema.String)
const Type = Schema.Literals(["null", "boolean", "object", "array", "number", "integer", "string"])

/** What JSON Schema draft 2020-12 says about the keywords that definitions of tools often have. */
interface Definition {
  readonly [key: string]: unknown
}
const Definition: Schema.Codec<unknown> = Schema.suspend(() =>
  Schema.Union([
    Schema.Boolean,
    Schema.Struct({
      type: Schema.optionalKey(Schema.Union([Type, Schema.NonEmptyArray(Type)])),
      properties: Schema.optionalKey(Schema.Record(Schema.String, Definition)),
      required: Schema.optionalKey(Strings),
      enum: Schema.optionalKey(Schema.NonEmptyArray(Schema.Unknown)),
      items: Schema.optionalKey(Definition),
      prefixItems: Schema.optionalKey(Schema.NonEmptyArray(Definition)),
      additionalProperties: Schema.optionalKey(Definition),
      anyOf: Schema.optionalKey(Schema.NonEmptyArray(Definition)),
      oneOf: Schema.optionalKey(Schema.NonEmptyArray(Definition)),
      allOf: Schema.optionalKey(Schema.NonEmptyArray(Definition)),
      $defs: Schema.optionalKey(Schema.Record(Schema.String, Definition)),
      $ref: Schema.optionalKey(Schema.String),
      description: Schema.optionalKey(Schema.String),
      title: Schema.optionalKey(Schema.String),
      minimum: Schema.optionalKey(Schema.Finite),
      maximum: Schema.optionalKey(Schema.Finite),
      exclusiveMinimum: Schema.optionalKey(Schema.Finite),
      exclusiveMaximum: Schema.optionalKey(Schema.Finite),
      minLength: Schema.optionalKey(Schema.Natural),
      maxLength: Schema.optionalKey(Schema.Natural),
      minItems: Schema.optionalKey(Schema.Natural),
      maxItems: Schema.optionalKey(Schema.Natural)
    })
  ])
)

const isDefinition = Schema.is(Definition)

const isObject = (value: unknown): value is Definition => Predicate.isObject(value) && !Array.isArray(value)

/** Each object in a JSON value, with the object itself. */
const objectsIn = function*(value: unknown): Generator<Definition> {
  if (isObject(value)) yield value
  if (typeof value === "object" && value !== null) { for (const child of Object.values(value)) yield* objectsIn(child) }
}

const resolves = (root: Definition, ref: string): boolean => {
  if (!ref.startsWith("#")) return false
  let found: unknown = root
  for (const key of ref.split("/").slice(1)) found = isObject(found) ? found[key] : undefined
  return found !== undefined
}

const isPropertyName = (name: string): boolean => /^[a-zA-Z0-9_.-]{1,64}$/.test(name)

/** Why the API refuses the schema of a tool's parameters, with the path from the tool. */
export const schemaProblem = (schema: Definition): string | undefined => {
  if (["oneOf", "allOf", "anyOf"].some((key) => key in schema)) {
    return "custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level"
  }
  if (schema["type"] !== "object") return "custom.input_schema.type: Input should be 'object'"
  for (const { $ref, properties } of objectsIn(schema)) {
    if (isObject(properties) && !Object.keys(properties).every(isPropertyName)) {
      return "custom.input_schema.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'"
    }
    if (typeof $ref === "string" && !resolves(schema, $ref)) {
      return `custom.input_schema: JSON schema is invalid: ${$ref} cannot be resolved`
    }
  }
  return isDefinition(schema)
    ? undefined
    : "custom.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12 (https://json-schema.org/draft/2020-12)."
}
