/**
 * Decodes what callers give to a service, so that bounds hold in process as over HTTP, also for callers without types (P11).
 *
 * @since 0.1.0
 */
import { Effect, Predicate, Schema, SchemaIssue } from "effect"
import { InvalidInput } from "./TaskError.ts"

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

/** What a schema says of a field, to be read after the name of the field. */
const toProblem = (message: string): string =>
  message
    .replace(/^Missing key$/, "is missing")
    .replace(/^Expected JSON value$/, "is not JSON")
    .replace(/^Expected (string|number|boolean)$/, "must be a $1")
    .replace(/^Expected /, "must be ")

const toInvalidInput = (name: string) => ({ issue }: Schema.SchemaError): InvalidInput => {
  const [first] = formatIssues(issue).issues
  const path = first?.path ?? []
  // The message about the whole value has the name of its schema, which says nothing to a caller.
  return first === undefined || path.length === 0
    ? new InvalidInput({ field: name, problem: "must be an object" })
    : new InvalidInput({
      field: path.map((part) => String(typeof part === "object" ? part.key : part)).join("."),
      problem: toProblem(first.message)
    })
}

/** Callers may also leave a field out by giving it `undefined`. */
const withoutUndefined = (input: unknown): unknown =>
  Predicate.isObject(input) && Object.values(input).includes(undefined)
    ? Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined))
    : input

/**
 * Makes a decoder of an object that a caller gives. It fails with the first field that is not accepted; `name` stands for
 * the field where the whole value is no object. Fields that are `undefined` are left out; unknown fields are ignored.
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import { Input } from "@perennial/domain"
 * import { Effect, Schema } from "effect"
 *
 * const Options = Schema.Struct({ reason: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(3))) })
 * const decode = Input.decoder(Options, "options")
 * Effect.runSync(decode({ reason: undefined })) // => {}
 * Effect.runSync(Effect.flip(decode({ reason: 7 }))).message // => "`reason` must be a string."
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const decoder = <A>(
  schema: Schema.ConstraintDecoder<A>,
  name: string
): (input: unknown) => Effect.Effect<A, InvalidInput> => {
  const decode = Schema.decodeUnknownEffect(schema)
  const toError = toInvalidInput(name)
  return (input) => Effect.mapError(decode(withoutUndefined(input)), toError)
}
