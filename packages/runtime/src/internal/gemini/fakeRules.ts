/**
 * The rules of Gemini's API that an agent can easily break. They come from the API's documentation and from error reports of
 * its users, and were not verified against the real API.
 */
import { Option, Schema } from "effect"

const Part = Schema.Struct({
  text: Schema.optionalKey(Schema.String),
  thought: Schema.optionalKey(Schema.Boolean),
  thoughtSignature: Schema.optionalKey(Schema.String),
  functionCall: Schema.optionalKey(Schema.Struct({ name: Schema.String, args: Schema.optionalKey(Schema.Unknown) })),
  functionResponse: Schema.optionalKey(Schema.Struct({ name: Schema.String, response: Schema.Unknown })),
  inlineData: Schema.optionalKey(Schema.Struct({ mimeType: Schema.String, data: Schema.String }))
})
type Part = typeof Part.Type

const Body = Schema.Struct({
  contents: Schema.NonEmptyArray(Schema.Struct({
    role: Schema.Literals(["user", "model"]),
    parts: Schema.Array(Part)
  })),
  tools: Schema.optionalKey(Schema.Unknown)
})

/** What the API knows of its earlier answers. */
export interface Issued {
  readonly signatures: Set<string>
  /** The signature of a call, by the call. */
  readonly calls: Map<string, string>
}

/** Calls have no id in this API. */
export const keyOf = (call: { readonly name: string; readonly args?: unknown }): string =>
  `${call.name} ${JSON.stringify(call.args ?? {})}`

/** The API's documentation accepts this signature for calls that come from elsewhere. */
const anySignature = "skip_thought_signature_validator"

const signatureProblem = (part: Part, at: number, issued: Issued): string | undefined => {
  const { functionCall: call, thoughtSignature: signature } = part
  if (signature !== undefined && signature !== anySignature && !issued.signatures.has(signature)) {
    return `Thought signature is not valid in content ${at}.`
  }
  return call !== undefined && signature === undefined && issued.calls.has(keyOf(call))
    ? `Function call \`${call.name}\` in the ${at}. content block is missing a \`thought_signature\`.`
    : undefined
}

/** Why the API would answer 400. Undefined if it would accept the body. */
export const problemOf = (input: unknown, issued: Issued): string | undefined => {
  const body = Option.getOrUndefined(Schema.decodeUnknownOption(Body)(input))
  if (body === undefined) return "Invalid JSON payload received: contents is not specified"
  const { contents } = body
  if (contents[0].role !== "user") return "Please ensure that the first content has the role user."
  for (const [at, { parts }] of contents.entries()) {
    if (parts.length === 0) return `contents[${at}].parts must not be empty.`
    for (const part of parts) {
      const problem = signatureProblem(part, at, issued)
      if (problem !== undefined) return problem
    }
    const calls = parts.flatMap(({ functionCall }) => functionCall?.name ?? [])
    const results = (contents[at + 1]?.parts ?? []).flatMap(({ functionResponse }) => functionResponse?.name ?? [])
    if (calls.length !== results.length || calls.some((name, index) => results[index] !== name)) {
      return "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn."
    }
  }
  return contents.at(-1)?.role === "user" ? undefined : "Please ensure that the last content has the role user."
}
