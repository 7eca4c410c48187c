/**
 * The endpoints of threads and assistants.
 *
 * @since 0.1.0
 */
import { AgentId } from "@perennial/domain/Ids"
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiSchema } from "effect/http-api"
import { documented } from "../../internal/openApi.ts"
import * as Problems from "../../Problems.ts"
import { describeThread, readErrors, taskId, threadId, valuesExample } from "./EndpointParts.ts"
import {
  Assistant,
  AssistantSearch,
  History,
  State,
  StateAt,
  Thread,
  ThreadCreate,
  ThreadPatch,
  ThreadSearch,
  Values
} from "./LangGraphSchemas.ts"

const threadExample = { thread_id: "c1", status: "idle", metadata: {}, values: valuesExample, interrupts: {} }
const stateExample = { values: valuesExample, next: [], tasks: [], checkpoint: { checkpoint_id: taskId } }
const assistantExample = { assistant_id: "echo", graph_id: "echo", name: "echo", version: 1 }

/**
 * @since 0.1.0
 * @category endpoints
 */
export const threadEndpoints = [
  HttpApiEndpoint.post("createThread", "/threads", { payload: ThreadCreate, success: Thread, error: readErrors })
    .annotateMerge(documented({
      summary: "Create a thread",
      description: "Creates a conversation, or returns the one that exists. `metadata.title` is its title.",
      example: { thread_id: "c1", metadata: {} },
      responses: { 200: { description: "The thread", example: threadExample } }
    })),
  HttpApiEndpoint.post("searchThreads", "/threads/search", {
    payload: ThreadSearch,
    success: Schema.Array(Thread),
    error: readErrors
  }).annotateMerge(documented({
    summary: "Search threads",
    description: "The conversations of the user, newest first. `values` has the first message of each.",
    example: { limit: 10, offset: 0 },
    responses: { 200: { description: "The threads", example: [threadExample] } }
  })),
  HttpApiEndpoint.get("getThread", "/threads/:threadId", { params: threadId, success: Thread, error: readErrors })
    .annotateMerge(documented({
      summary: "Get a thread",
      description: "The conversation, its messages, and the tool calls that wait.",
      parameters: describeThread,
      responses: { 200: { description: "The thread", example: threadExample } }
    })),
  HttpApiEndpoint.patch("updateThread", "/threads/:threadId", {
    params: threadId,
    payload: ThreadPatch,
    success: Thread,
    error: readErrors
  }).annotateMerge(documented({
    summary: "Update a thread",
    description: "`metadata.title` is the title of the conversation. Other metadata is ignored.",
    parameters: describeThread,
    example: { metadata: { title: "A story" } },
    responses: { 200: { description: "The thread", example: threadExample } }
  })),
  HttpApiEndpoint.delete("deleteThread", "/threads/:threadId", {
    params: threadId,
    success: HttpApiSchema.NoContent,
    error: [Problems.ConversationBusy, ...readErrors]
  }).annotateMerge(documented({
    summary: "Delete a thread",
    description: "Deletes the conversation with its tasks, unless one of them is active.",
    parameters: describeThread,
    responses: { 204: "The thread is deleted" }
  })),
  HttpApiEndpoint.get("getState", "/threads/:threadId/state", { params: threadId, success: State, error: readErrors })
    .annotateMerge(documented({
      summary: "Get the state of a thread",
      description: "The messages, and the tool calls that wait.",
      parameters: describeThread,
      responses: { 200: { description: "The state", example: stateExample } }
    })),
  HttpApiEndpoint.get("getStateAt", "/threads/:threadId/state/:checkpointId", {
    params: { ...threadId, checkpointId: Schema.NonEmptyString.check(Schema.isMaxLength(200)) },
    success: State,
    error: readErrors
  }).annotateMerge(documented({
    summary: "Get an earlier state of a thread",
    description: "The state at a checkpoint: after one of the runs of the thread.",
    parameters: { ...describeThread, checkpointId: { description: "The id of the checkpoint." } },
    responses: { 200: { description: "The state", example: stateExample } }
  })),
  HttpApiEndpoint.post("getStateOf", "/threads/:threadId/state/checkpoint", {
    params: threadId,
    payload: StateAt,
    success: State,
    error: readErrors
  }).annotateMerge(documented({
    summary: "Get an earlier state of a thread by its checkpoint",
    description: "The same, with a checkpoint as the client has it. Without an id the newest state.",
    parameters: describeThread,
    example: { checkpoint: { checkpoint_id: "0" } },
    responses: { 200: { description: "The state", example: stateExample } }
  })),
  HttpApiEndpoint.post("getHistory", "/threads/:threadId/history", {
    params: threadId,
    payload: History,
    success: Schema.Array(State),
    error: readErrors
  }).annotateMerge(documented({
    summary: "Get the history of a thread",
    description: "The states after each run, newest first, and the empty state.",
    parameters: describeThread,
    example: { limit: 10 },
    responses: { 200: { description: "The states", example: [stateExample] } }
  })),
  HttpApiEndpoint.post("searchAssistants", "/assistants/search", {
    payload: AssistantSearch,
    success: Schema.Array(Assistant),
    error: readErrors
  }).annotateMerge(documented({
    summary: "Search assistants",
    description: "The agents of the server.",
    example: { limit: 10, offset: 0 },
    responses: { 200: { description: "The assistants", example: [assistantExample] } }
  })),
  HttpApiEndpoint.get("getAssistant", "/assistants/:assistantId", {
    params: { assistantId: AgentId },
    success: Assistant,
    error: [Problems.AgentNotFound, ...readErrors]
  }).annotateMerge(documented({
    summary: "Get an assistant",
    description: "An agent of the server.",
    parameters: { assistantId: { description: "The id of the agent." } },
    responses: { 200: { description: "The assistant", example: assistantExample } }
  })),
  HttpApiEndpoint.get("getSchemas", "/assistants/:assistantId/schemas", {
    params: { assistantId: AgentId },
    success: Values,
    error: [Problems.AgentNotFound, ...readErrors]
  }).annotateMerge(documented({
    summary: "Get the schemas of an assistant",
    description: "The input and the state of every agent are messages.",
    parameters: { assistantId: { description: "The id of the agent." } },
    responses: { 200: { description: "The schemas", example: { graph_id: "echo" } } }
  }))
] as const
