/** Runs through LangGraph's own client, and what the client makes of them. */
import { Client as Sdk, type Message, type StreamMode } from "@langchain/langgraph-sdk"
import { MessageTupleManager } from "@langchain/langgraph-sdk/ui"
import { Effect } from "effect"
import assert from "node:assert/strict"
import type { Server } from "../client.ts"
import { assertWhole, completed, type Line } from "../shown.ts"

export const connect = (address: string) => new Sdk({ apiUrl: address, apiKey: null })

export const assistant = "assistant"
export const modes: Array<StreamMode> = ["values", "messages-tuple", "updates"]

export interface Part {
  readonly id?: string | undefined
  readonly event: string
  // The SDK has a type of data for each event; tests read many.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly data: any
}

export const human = (content: string) => ({ messages: [{ type: "human", content }] })

const isLast = (part: Part | undefined) => part?.event === "end" || part?.event === "error"

/** Reads a stream to its end, and the rest of it where a stream ended without its last event. */
export const follow = async (
  client: Sdk,
  threadId: string,
  stream: AsyncIterable<Part>,
  onPart?: (part: Part) => void
) => {
  const parts: Array<Part> = []
  const collect = async (from: AsyncIterable<Part>) => {
    for await (const part of from) {
      parts.push(part)
      onPart?.(part)
    }
  }
  await collect(stream)
  while (!isLast(parts.at(-1))) {
    const { run_id: runId } = parts.find(({ event }) => event === "metadata")?.data ?? {}
    const lastEventId = parts.findLast(({ id }) => id !== undefined)?.id ?? "-1"
    // oxlint-disable-next-line eslint/no-await-in-loop -- one connection after the other
    await collect(client.runs.joinStream(threadId, runId, { lastEventId, streamMode: modes }))
  }
  return parts
}

export const run = (client: Sdk, threadId: string, payload: object, onPart?: (part: Part) => void) =>
  Effect.promise(() =>
    follow(
      client,
      threadId,
      client.runs.stream(threadId, assistant, { streamMode: modes, ifNotExists: "create", ...payload }),
      onPart
    )
  )

export const say = (client: Sdk, threadId: string, text: string, onPart?: (part: Part) => void) =>
  run(client, threadId, { input: human(text) }, onPart)

/** The messages of the last values. */
export const valuesOf = (parts: ReadonlyArray<Part>): ReadonlyArray<Message> =>
  parts.findLast(({ event }) => event === "values")?.data.messages ?? []

/** What the client's own manager makes of the chunks. */
const chunksOf = (parts: ReadonlyArray<Part>): ReadonlyArray<Message> => {
  const manager = new MessageTupleManager()
  const ids: Array<string> = []
  for (const { data, event } of parts) {
    if (event !== "messages") continue
    const [message, metadata] = structuredClone(data)
    const id = manager.add(message, metadata)
    assert(id !== null)
    if (!ids.includes(id)) ids.push(id)
  }
  return ids.flatMap((id) => {
    const chunk = manager.get(id)?.chunk
    assert(chunk !== undefined)
    if (chunk.getType() === "remove") return []
    const { data, type } = chunk.toDict()
    // As the manager of the client's streams makes messages of chunks.
    return [{ ...data, type } as unknown as Message]
  })
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const textOf = (content: Message["content"]): string => typeof content === "string" ? content : JSON.stringify(content)

export const lines = (messages: ReadonlyArray<Message>): ReadonlyArray<Line> =>
  messages.flatMap((message): ReadonlyArray<Line> => {
    const content = textOf(message.content)
    switch (message.type) {
      case "human":
        return [{ kind: "user", value: content }]
      case "tool":
        return [{ kind: "result", value: message.status === "error" ? "error" : completed(parsed(content)) }]
      case "ai": {
        const thought = message.additional_kwargs?.["reasoning_content"]
        return [
          ...(typeof thought === "string" ? [{ kind: "reasoning" as const, value: thought }] : []),
          ...(content === "" ? [] : [{ kind: "text" as const, value: content }]),
          ...(message.tool_calls ?? []).map(({ args, name }) => ({
            kind: "call" as const,
            value: `${name} ${JSON.stringify(args)}`
          }))
        ]
      }
      default:
        return []
    }
  })

export const kinds = ["user", "text", "reasoning", "call", "result"] as const

/** The values of a stream, its chunks, and the state of the thread have what the conversation has. */
export const whole = Effect.fnUntraced(function*(
  { address }: Pick<Server, "address">,
  threadId: string,
  parts: ReadonlyArray<Part>,
  which: ReadonlyArray<Line["kind"]> = kinds
) {
  yield* assertWhole(lines(valuesOf(parts)), address, threadId, which)
  const { values } = yield* Effect.promise(() =>
    connect(address).threads.getState<{ messages: Array<Message> }>(threadId)
  )
  yield* assertWhole(lines(values.messages), address, threadId, which)
  assert.deepEqual(valuesOf(parts).map(({ id }) => id), values.messages.map(({ id }) => id))
})

/** The chunks of the only run of a thread. */
export const wholeChunks = (
  { address }: Server,
  threadId: string,
  parts: ReadonlyArray<Part>,
  which: ReadonlyArray<Line["kind"]> = kinds
) => assertWhole(lines(chunksOf(parts)), address, threadId, which.filter((kind) => kind !== "user"))

/** Resolves when the text of the chunks has this text. */
export const until = (text: string) => {
  const seen = Promise.withResolvers<void>()
  let all = ""
  const onPart = ({ data, event }: Part) => {
    if (event !== "messages") return
    all += data[0].content
    if (all.includes(text)) seen.resolve()
  }
  return { onPart, seen: Effect.promise(() => seen.promise) }
}
