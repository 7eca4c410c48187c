/**
 * What a task of the fault harness is to do: its user's message. The scripted model and the checker both read it, so that
 * neither needs to know what the other saw.
 */
import { Option, Schema } from "effect"

/**
 * `lookup` may be repeated after a crash, `pay` may not. `echo` answers with what its call says, and leaves no trace. `delegate`
 * runs a child task.
 */
export const ToolName = Schema.Literals(["lookup", "pay", "echo", "delegate"])

/** JSON at a bound of content: arrays so many levels deep, a text of so many characters of JSON, or a text of JSON. */
export const Shape = Schema.Union([
  Schema.Struct({ levels: Schema.Int }),
  Schema.Struct({ characters: Schema.Int }),
  Schema.Struct({ json: Schema.String })
])
export type Shape = typeof Shape.Type

export const toValue = (shape: Shape): unknown => {
  if ("json" in shape) return JSON.parse(shape.json)
  // Two of the characters are the quotation marks.
  if ("characters" in shape) return "x".repeat(shape.characters - 2)
  return JSON.parse("[".repeat(shape.levels) + "]".repeat(shape.levels))
}

/**
 * A call of a tool that takes so many milliseconds. `echo` has the rest: its id, a value in its arguments, and its result. `child` is
 * what `delegate` passes on: the text of a plan.
 */
export const Call = Schema.Struct({
  tool: ToolName,
  millis: Schema.Int,
  id: Schema.optionalKey(Schema.String),
  value: Schema.optionalKey(Shape),
  result: Schema.optionalKey(Shape),
  child: Schema.optionalKey(Schema.String)
})

/** What `echo` is called with. */
export const echoed = ({ result = { json: "1" }, value = { json: "1" } }: typeof Call.Type) => ({
  value: toValue(value),
  result
})

/**
 * Each step says `words` words, `drip` milliseconds apart, and calls its tools; the last answer says words alone. `fatal`:
 * the process dies on it. `pad`: each word is longer by so many characters. `note` is text of the user, for nobody.
 */
export const Plan = Schema.Struct({
  name: Schema.String,
  words: Schema.Int,
  drip: Schema.Int,
  steps: Schema.Array(Schema.Array(Call)),
  fatal: Schema.optionalKey(Schema.Boolean),
  pad: Schema.optionalKey(Schema.Int),
  note: Schema.optionalKey(Schema.String)
})
export type Plan = typeof Plan.Type

const json = Schema.fromJsonString(Plan)
export const encode = Schema.encodeSync(json)
const decode = Schema.decodeUnknownOption(json)

/** The plan in the text of a user's message. */
export const fromText = (text: string): Plan | undefined => Option.getOrUndefined(decode(text))

export const callId = (plan: Plan, step: number, index: number): string => `${plan.name}.${step}.${index}`

/** The i-th of n words of a step names the process that says it: what another process wrote shows. */
export const word = (pid: number, step: number, i: number, n: number, pad = 0): string =>
  `${pid}:${step}.${i}/${n}${"-".repeat(pad)} `

export interface Word {
  readonly pid: number
  readonly step: number
  readonly i: number
  readonly n: number
}

const pattern = /^(\d+):(\d+)\.(\d+)\/(\d+)-*$/

/** The words of a text; undefined for what is none. */
export const toWords = (text: string): ReadonlyArray<Word | undefined> =>
  text.split(" ").filter((word) => word !== "").map((text) => {
    const [, pid, step, i, n] = pattern.exec(text) ?? []
    return n === undefined ? undefined : { pid: Number(pid), step: Number(step), i: Number(i), n: Number(n) }
  })
