/**
 * The rows of a conversation, oldest first: stored messages, then the tasks that are followed. A row is a block of an answer and
 * not a whole message, so that a long answer costs no more than what is seen of it.
 */
import type { FilePart, ReasoningPart, TextPart, ToolCallPart, ToolResultPart } from "@perennial/domain/Message"
import type { ToolCallView } from "@perennial/domain/TaskView"
import type { Message } from "../api.ts"
import { type Block, Blocks } from "../text/blocks.ts"
import { isGoing, type Live, type Pending } from "./live.ts"

export type ShownFile = Pick<typeof FilePart.Encoded, "mediaType" | "data" | "url" | "name">

export type Row =
  | {
    readonly kind: "user"
    readonly key: string
    /** The id of the stored message; a message that is not stored yet cannot be edited. */
    readonly id: string | undefined
    readonly text: string
    readonly files: ReadonlyArray<ShownFile>
    readonly waits: boolean
    /** The ids of the versions of the message, the oldest first, if there are several. */
    readonly versions?: ReadonlyArray<string> | undefined
  }
  | { readonly kind: "block"; readonly key: string; readonly block: Block }
  | { readonly kind: "thought"; readonly key: string; readonly text: string; readonly writing: boolean }
  | { readonly kind: "call"; readonly key: string; readonly call: ToolCallView; readonly taskId: string }
  | { readonly kind: "sources"; readonly key: string; readonly sources: ReadonlyArray<Source> }
  | { readonly kind: "cut"; readonly key: string; readonly taskId: string }
  | { readonly kind: "sending"; readonly key: string }
  | { readonly kind: "earlier"; readonly key: string; readonly of: string }
  | { readonly kind: "status"; readonly key: string; readonly live: Live }
  | {
    readonly kind: "end"
    readonly key: string
    readonly taskId: string
    readonly usage: string
    readonly text: string
  }

/** A source of an answer that a browser can open. */
export interface Source {
  readonly url: string
  readonly title: string
}

type Content = Message["message"]["content"]
type KnownPart = TextPart | ReasoningPart | FilePart | ToolCallPart | ToolResultPart

// The server has checked the parts: a part whose type is known has the fields of this type. Others are ignored by their type.
export const partsOf = (content: Content): ReadonlyArray<KnownPart> =>
  typeof content === "string" ? [{ type: "text", text: content }] : content as ReadonlyArray<KnownPart>
type Usage = { readonly inputTokens: number; readonly outputTokens: number; readonly cacheReadTokens: number }

export const textOf = (content: Content): string =>
  partsOf(content).map((part) => part.type === "text" ? part.text : "").join("")

export const filesOf = (content: Content): ReadonlyArray<typeof FilePart.Encoded> =>
  partsOf(content).flatMap((part) => part.type === "file" ? [part] : [])

const sourcesOf = (content: Content): ReadonlyArray<Source> => {
  const cited = partsOf(content).flatMap((part) => part.type === "text" ? part.citations ?? [] : [])
  const found = new Map<string, Source>()
  for (const { title, url = "" } of cited) if (/^https?:/.test(url)) found.set(url, { url, title: title ?? url })
  return [...found.values()]
}

const count = (tokens: number): string => tokens.toLocaleString("en")

const usageText = (usages: ReadonlyArray<Usage | undefined>): string => {
  const sum = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0 }
  for (const usage of usages) {
    sum.inputTokens += usage?.inputTokens ?? 0
    sum.outputTokens += usage?.outputTokens ?? 0
    sum.cacheReadTokens += usage?.cacheReadTokens ?? 0
  }
  if (sum.inputTokens + sum.outputTokens === 0) return ""
  const cached = sum.cacheReadTokens > 0 ? ` · ${count(sum.cacheReadTokens)} cached` : ""
  return `${count(sum.inputTokens)} in · ${count(sum.outputTokens)} out${cached}`
}

/** The texts that were written last, cut as far as they go, the newest first: when the message is stored, its text is not cut again. */
let recent: ReadonlyArray<{ readonly key: string; readonly cut: Blocks }> = []
const mostRecent = 3

/** The blocks of texts that are written. They last as long as the part that has the text. */
const cuts = new WeakMap<TextPart, ReadonlyArray<Block>>()

const cutOf = (key: string): Blocks => recent.find((one) => one.key === key)?.cut ?? new Blocks()

const blockRows = (key: string, blocks: ReadonlyArray<Block>): Array<Row> =>
  blocks.map((block) => ({ kind: "block", key: `${key}.${block.key}`, block }))

const writtenRows = (key: string, part: TextPart): Array<Row> => {
  const blocks = cuts.get(part) ?? cutOf(key).update(part.text, false)
  cuts.set(part, blocks)
  return blockRows(key, blocks)
}

const writingRows = (key: string, text: string): Array<Row> => {
  const cut = cutOf(key)
  if (recent[0]?.key !== key) recent = [{ key, cut }, ...recent].slice(0, mostRecent)
  return blockRows(key, cut.update(text, true))
}

type Call = (toolCallId: string) => ToolCallView | undefined

/** The rows of a message of the assistant. Text has the same keys while it is written and afterwards. */
const contentRows = (key: string, content: Content, taskId: string, call: Call): Array<Row> => {
  const seen = { text: 0, reasoning: 0 }
  const sources = sourcesOf(content)
  const rows = partsOf(content).flatMap((part): Array<Row> => {
    if (part.type === "text") return writtenRows(`${key}.text${seen.text++}`, part)
    if (part.type === "reasoning") {
      return [{ kind: "thought", key: `${key}.thought${seen.reasoning++}`, text: part.text, writing: false }]
    }
    if (part.type !== "tool_call") return []
    const { args, tool, toolCallId } = part
    const shown = call(toolCallId) ?? { toolCallId, tool, args, status: "requested" }
    return [{ kind: "call", key: `${taskId}.${toolCallId}`, call: shown, taskId }]
  })
  return sources.length === 0 ? rows : [...rows, { kind: "sources", key: `${key}.sources`, sources }]
}

/** The rows of one task, made of all its stored messages that were read. */
const taskRows = (messages: ReadonlyArray<Message>): ReadonlyArray<Row> => {
  const results = new Map<string, Pick<ToolCallView, "status" | "result" | "decision">>()
  for (const { message } of messages) {
    if (message.role !== "tool") continue
    for (const part of partsOf(message.content)) {
      if (part.type === "tool_result") results.set(part.toolCallId, part)
    }
  }
  const own = messages.filter(({ message }) => message.role === "assistant")
  return messages.flatMap(({ id, message, status, taskId }): Array<Row> => {
    if (message.role === "user") {
      const { content } = message
      return [{ kind: "user", key: id, id, text: textOf(content), files: filesOf(content), waits: false }]
    }
    if (message.role !== "assistant") return []
    // The key of the live task's message: the row stays the same when the task is not followed any more.
    const key = `${taskId}:${own.findIndex((one) => one.id === id)}`
    const rows = contentRows(key, message.content, taskId, (toolCallId) => {
      const part = partsOf(message.content).find((part) => part.type === "tool_call" && part.toolCallId === toolCallId)
      return part?.type === "tool_call"
        ? { toolCallId, tool: part.tool, args: part.args, status: "interrupted", ...results.get(toolCallId) }
        : undefined
    })
    if (status === "partial") rows.push({ kind: "cut", key: `${key}.cut`, taskId })
    if (own.at(-1)?.id === id) {
      rows.push({
        kind: "end",
        key: `${taskId}.end`,
        taskId,
        usage: usageText(own.map(({ usage }) => usage)),
        text: own.map(({ message }) => textOf(message.content)).join("\n\n")
      })
    }
    return rows
  })
}

/** The rows of a task by its newest message, so that an older page makes no rows again but its own. */
const made = new WeakMap<Message, { readonly messages: number; readonly rows: ReadonlyArray<Row> }>()

export const storedRows = (messages: ReadonlyArray<Message>): ReadonlyArray<Row> =>
  [...Map.groupBy(messages, ({ taskId }) => taskId).values()].flatMap((own) => {
    const last = own.at(-1)
    const known = last === undefined ? undefined : made.get(last)
    if (known?.messages === own.length) return known.rows
    const rows = taskRows(own)
    if (last !== undefined) made.set(last, { messages: own.length, rows })
    return rows
  })

const liveRows = (live: Live, messages: ReadonlyArray<Message>): Array<Row> => {
  const { task, view } = live
  if (live.isOver) return [{ kind: "status", key: `${task.id}.status`, live }]
  const asked = live.asked ?? (task.preview === undefined ? undefined : { text: task.preview, files: [] })
  const id = `${task.id}/1`
  const own = messages.find((message) => message.id === id)?.message.content
  const rows: Array<Row> = []
  if (own !== undefined || asked !== undefined) {
    rows.push({
      kind: "user",
      key: id,
      id: own === undefined ? undefined : id,
      text: own === undefined ? asked?.text ?? "" : textOf(own),
      files: own === undefined ? asked?.files ?? [] : filesOf(own),
      waits: view.status === "queued"
    })
  }
  const placed = new Set<string>()
  const call = (toolCallId: string) => {
    placed.add(toolCallId)
    return view.toolCalls.find((one) => one.toolCallId === toolCallId)
  }
  const keyOf = (i: number) => `${task.id}:${i}`
  view.messages.forEach(({ message, partial }, i) => {
    rows.push(...contentRows(keyOf(i), message.content, task.id, call))
    // The last line says how the task ended, if that is why the message was cut.
    if (partial && isGoing(live)) rows.push({ kind: "cut", key: `${keyOf(i)}.cut`, taskId: task.id })
  })
  const key = keyOf(view.messages.length)
  if (view.reasoning !== "") {
    rows.push({ kind: "thought", key: `${key}.thought0`, text: view.reasoning, writing: view.text === "" })
  }
  if (view.text !== "") rows.push(...writingRows(`${key}.text0`, view.text))
  // Tools of the message that is being written begin before the message is complete.
  for (const one of view.toolCalls) {
    if (!placed.has(one.toolCallId)) {
      rows.push({ kind: "call", key: `${task.id}.${one.toolCallId}`, call: one, taskId: task.id })
    }
  }
  if (view.status !== "completed") return [...rows, { kind: "status", key: `${task.id}.status`, live }]
  const text = view.messages.map(({ message }) => textOf(message.content)).join("\n\n")
  return [...rows, { kind: "end", key: `${task.id}.end`, taskId: task.id, usage: usageText([view.usage]), text }]
}

// Rows of stored messages are made once: nothing of ten thousand messages is made again while an answer is written.
let stored: {
  readonly messages: ReadonlyArray<Message>
  readonly followed: string
  readonly rows: ReadonlyArray<Row>
} | undefined

const pendingRows = ({ files, key, text }: Pending): ReadonlyArray<Row> => [
  { kind: "user", key, id: undefined, text, files, waits: true },
  { kind: "sending", key: `${key}.sending` }
]

export const rowsOf = ({ live, messages, pending }: {
  readonly live: ReadonlyArray<Live>
  readonly messages: ReadonlyArray<Message>
  readonly pending: ReadonlyArray<Pending>
}): ReadonlyArray<Row> => {
  const ids = new Set<string>(live.flatMap(({ isOver, task }) => isOver ? [] : [task.id]))
  const overs = new Set<string>(live.flatMap(({ isOver, task }) => isOver ? [task.id] : []))
  const followed = [...ids, "", ...overs].join()
  if (stored?.messages !== messages || stored.followed !== followed) {
    const rows = storedRows(messages.filter(({ taskId }) => !ids.has(taskId)))
    stored = {
      messages,
      followed,
      rows: rows.filter((row) => (row.kind !== "end" && row.kind !== "cut") || !overs.has(row.taskId))
    }
  }
  return [...stored.rows, ...live.flatMap((one) => liveRows(one, messages)), ...pending.flatMap(pendingRows)]
}
