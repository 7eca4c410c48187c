/**
 * Programs that read a task through a face of the server, with the cursor of its protocol, and what they show: the text of the agent.
 * A program knows nothing but the frames that it got.
 */

/** A frame of an event stream. */
export interface Frame {
  readonly id: string | undefined
  readonly event: string | undefined
  /** JSON, or `[DONE]`. */
  readonly data: string
}

export interface Followed {
  readonly taskId: string
  readonly conversationId: string
}

export interface Program {
  /** What the program asks for next: everything that it does not have. */
  readonly request: () => { readonly path: string; readonly headers?: Readonly<Record<string, string>> }
  /** Takes the next frame. Returns what is wrong with the frame, if it came twice or too early. */
  readonly take: (frame: Frame) => string | undefined
  /** The answer was 204: the program has everything. */
  readonly finish?: () => void
  /** The text, when the program has been told that there is no more. */
  readonly shown: () => string | undefined
}

/** The texts of parts by their ids, in the order of their first deltas. */
class Texts extends Map<string, string> {
  add(id: string, delta: string): void {
    this.set(id, (this.get(id) ?? "") + delta)
  }
}

/** The client counts the chunks. A step that is reset is removed from the screen. */
const aiSdk = ({ taskId }: Followed): Program => {
  const texts = new Texts()
  let [chunks, steps, isOver] = [0, 0, false]
  const inStep = (id: string) => `${steps}/${id}`
  return {
    request: () => ({ path: `/ai-sdk/chat/${taskId}.0/stream?startIndex=${chunks}` }),
    finish: () => {
      isOver = true
    },
    take: ({ data }) => {
      isOver = data === "[DONE]"
      if (isOver) return
      const { delta, id, type } = JSON.parse(data)
      chunks++
      if (type === "start-step") steps++
      if (type === "text-delta") texts.add(inStep(id), delta)
      if (type === "reset-step") { for (const key of texts.keys()) if (key.startsWith(inStep(""))) texts.delete(key) }
    },
    shown: () => isOver ? [...texts.values()].join("") : undefined
  }
}

/** Events are numbered. The last one has the items that are not void. */
const openAi = ({ taskId }: Followed): Program => {
  const texts = new Texts()
  let last = -1
  let output: ReadonlyArray<{ readonly id: string }> | undefined
  return {
    request: () => ({
      path: `/v1/responses/resp_${taskId}_0?stream=true${last < 0 ? "" : `&starting_after=${last}`}`
    }),
    take: ({ data }) => {
      const { delta, item_id: id, response, sequence_number: number, type } = JSON.parse(data)
      if (number !== last + 1) return `it got event ${number} where ${last + 1} was due`
      last = number
      if (type === "response.output_text.delta") texts.add(id, delta)
      if (["response.completed", "response.failed", "response.incomplete"].includes(type)) output = response.output
    },
    shown: () => output?.map(({ id }) => texts.get(id) ?? "").join("")
  }
}

/** Chunks with the same id are one message, until a chunk removes it. */
const langGraph = ({ conversationId, taskId }: Followed): Program => {
  const texts = new Texts()
  const ids = new Set<string>()
  let [last, isOver] = ["-1", false]
  return {
    request: () => ({
      path: `/threads/${encodeURIComponent(conversationId)}/runs/${taskId}/stream?stream_mode=messages-tuple`,
      headers: { "last-event-id": last }
    }),
    take: ({ data, event, id }) => {
      if (id !== undefined && ids.has(id)) return `it got event ${id} twice`
      if (id !== undefined) ids.add(last = id)
      isOver = event === "end" || event === "error"
      if (event !== "messages") return
      const [{ content, id: message, type }] = JSON.parse(data)
      if (type === "remove") texts.delete(message)
      if (type === "AIMessageChunk") texts.add(message, content)
    },
    shown: () => isOver ? [...texts.values()].join("") : undefined
  }
}

export const programs = { "AI SDK": aiSdk, OpenAI: openAi, LangGraph: langGraph }
