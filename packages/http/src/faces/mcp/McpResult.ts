/**
 * What a call of a tool is answered with: the result of its task, or the question about a tool call of the agent.
 *
 * @since 0.1.0
 */
import { type Head, isObject, type Json, type JsonObject, type OpenCall, type State } from "./McpCall.ts"

/** The arguments of a tool are shown up to this length, in characters. */
const maxShown = 500

/**
 * A value in one line of at most 500 characters, and a mark if there is more.
 *
 * @since 0.1.0
 * @category encoding
 */
export const shown = (value: Json): string => {
  const json = typeof value === "string" ? value : JSON.stringify(value)
  return json.length <= maxShown ? json : `${json.slice(0, maxShown)}…`
}

/**
 * The question about a tool call.
 *
 * @since 0.1.0
 * @category constructors
 */
export const question = ({ args, tool }: OpenCall): JsonObject => ({
  mode: "form",
  message: `The agent wants to call the tool ${tool} with ${shown(args)}. May it?`,
  requestedSchema: {
    type: "object",
    properties: {
      approve: { type: "boolean", title: "Allow the call" },
      reason: { type: "string", title: "Why, if it is not allowed" }
    },
    required: ["approve"]
  }
})

const textPart = (value: string): Json => ({ type: "text", text: value })

interface ResultOptions {
  readonly conversationId?: string | undefined
  readonly isError?: boolean
  readonly output?: Json | undefined
}

/**
 * The result of a call. An output that is an object is its structured content.
 *
 * @since 0.1.0
 * @category constructors
 */
export const toolResult = (
  head: Pick<Head, "modern" | "ofTask"> & { readonly taskId?: string },
  texts: ReadonlyArray<string>,
  { conversationId, isError = false, output }: ResultOptions
): JsonObject => ({
  ...(head.modern ? { resultType: "complete" } : {}),
  content: texts.map(textPart),
  ...(isObject(output) ? { structuredContent: output } : {}),
  ...(isError ? { isError } : {}),
  _meta: {
    ...(head.taskId === undefined ? {} : { "perennial/taskId": head.taskId }),
    ...(conversationId === undefined ? {} : { "perennial/conversationId": conversationId }),
    ...(head.ofTask && head.taskId !== undefined
      ? { "io.modelcontextprotocol/related-task": { taskId: head.taskId } }
      : {})
  }
})

/**
 * The result of a call whose task has completed: the output of the agent, or else the text of its last message.
 *
 * @since 0.1.0
 * @category constructors
 */
export const completed = (
  head: Parameters<typeof toolResult>[0],
  { answer, conversationId, output }: State
): ReturnType<typeof toolResult> => {
  const words = output === undefined || typeof output === "string" ? output : JSON.stringify(output)
  return toolResult(head, [words ?? answer], { conversationId, output })
}

/**
 * The sentence for a client that cannot ask a person.
 *
 * @since 0.1.0
 * @category constructors
 */
export const whatToDo = (head: Pick<Head, "taskId">, calls: State["calls"]): string => {
  const waiting = [...calls].map(([id, { args, tool }]) => `${tool} with ${shown(args)} (${id})`)
  return `The agent waits for a person, who must allow or deny the tool call ${waiting.join(", and ")}: ` +
    `POST /tasks/${head.taskId}/decisions/<id of the call>. Then call this tool again with the argument taskId ` +
    `"${head.taskId}" to get the answer.`
}
