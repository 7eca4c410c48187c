/**
 * What a task of the fault harness is to do: its user's message. The scripted model and the checker both read it, so that
 * neither needs to know what the other saw.
 */
import { Option, Schema } from "effect"

/** `lookup` may be repeated after a crash, `pay` may not. */
export const ToolName = Schema.Literals(["lookup", "pay"])

/** A call of a tool that takes so many milliseconds. */
export const Call = Schema.Struct({ tool: ToolName, millis: Schema.Int })

/**
 * Each step says `words` words, `drip` milliseconds apart, and calls its tools; the last answer says words alone. `fatal`:
 * the process dies on it. `pad`: each word is longer by so many characters.
 */
export const Plan = Schema.Struct({
  name: Schema.String,
  words: Schema.Int,
  drip: Schema.Int,
  steps: Schema.Array(Schema.Array(Call)),
  fatal: Schema.optionalKey(Schema.Boolean),
  pad: Schema.optionalKey(Schema.Int)
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
