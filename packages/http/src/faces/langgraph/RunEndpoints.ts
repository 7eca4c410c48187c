/**
 * The endpoints of runs.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiSchema } from "effect/http-api"
import { documented, integer } from "../../internal/openApi.ts"
import { startErrors } from "../../internal/startParts.ts"
import * as Problems from "../../Problems.ts"
import {
  describeRun,
  describeThread,
  readErrors,
  run,
  runId,
  taskId,
  threadId,
  valuesExample
} from "./EndpointParts.ts"
import { Events, Modes, Run, RunCreate, Values } from "./LangGraphSchemas.ts"

const streamErrors = [Problems.TooManyStreams, Problems.TooManyUserStreams] as const
const runErrors = [...startErrors, ...readErrors, Problems.ToolCallNotFound, Problems.AlreadyDecided] as const

const exampleRun = {
  assistant_id: "echo",
  input: { messages: [{ type: "human", content: "Hello" }] },
  if_not_exists: "create",
  multitask_strategy: "enqueue"
}
const runExample = { run_id: taskId, thread_id: "c1", assistant_id: "echo", status: "running" }
const event = [{ id: `${taskId}.0`, type: "AIMessageChunk", content: "Hello " }, {
  tags: [],
  langgraph_node: "model"
}]

const describeModes = {
  stream_mode: {
    description: "Parts of the stream: `values`, `messages-tuple` and so on. It may be given several times."
  },
  after: { description: "The seq after which the stream begins.", schema: integer(0) },
  "last-event-id": { description: "The id of the last event that the client has; `-1` for the beginning." }
}
const joinOptions = {
  headers: { "last-event-id": Schema.optionalKey(Schema.String) },
  query: {
    stream_mode: Schema.optionalKey(Modes),
    after: Schema.optionalKey(Schema.Natural)
  }
}

const streamed = (summary: string, description: string, parameters: object) =>
  documented({
    summary,
    description,
    parameters: { ...parameters },
    example: exampleRun,
    responses: { 200: "The events of the run" },
    event: { data: event }
  })

/**
 * @since 0.1.0
 * @category endpoints
 */
export const runEndpoints = [
  HttpApiEndpoint.post("streamRun", "/threads/:threadId/runs/stream", {
    params: threadId,
    payload: RunCreate,
    success: Events,
    error: [...runErrors, ...streamErrors]
  }).annotateMerge(streamed(
    "Create a run and stream it",
    "Starts a task for the last message of the user, or answers the tool calls that wait, and streams the run.",
    describeThread
  )),
  HttpApiEndpoint.post("waitRun", "/threads/:threadId/runs/wait", {
    params: threadId,
    payload: RunCreate,
    success: Values,
    error: runErrors
  }).annotateMerge(documented({
    summary: "Create a run and wait for it",
    description: "The same, answered with the last values of the run.",
    parameters: describeThread,
    example: exampleRun,
    responses: { 200: { description: "The values", example: valuesExample } }
  })),
  HttpApiEndpoint.post("createRun", "/threads/:threadId/runs", {
    params: threadId,
    payload: RunCreate,
    success: Run,
    error: runErrors
  }).annotateMerge(documented({
    summary: "Create a run",
    description: "The same, answered at once.",
    parameters: describeThread,
    example: exampleRun,
    responses: { 200: { description: "The run", example: runExample } }
  })),
  HttpApiEndpoint.get("listRuns", "/threads/:threadId/runs", {
    params: threadId,
    query: {
      limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }))),
      offset: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 900 }))),
      status: Schema.optionalKey(Schema.String)
    },
    success: Schema.Array(Run),
    error: readErrors
  }).annotateMerge(documented({
    summary: "List the runs of a thread",
    description: "Newest first.",
    parameters: {
      ...describeThread,
      limit: { description: "The number of runs; 10 by default.", schema: integer(1, 100) },
      offset: { description: "The number of runs that are left out before; 0 by default.", schema: integer(0, 900) },
      status: { description: "Only runs with this status." }
    },
    responses: { 200: { description: "The runs", example: [runExample] } }
  })),
  HttpApiEndpoint.get("getRun", "/threads/:threadId/runs/:runId", { params: run, success: Run, error: readErrors })
    .annotateMerge(documented({
      summary: "Get a run",
      description: "The run as it is now.",
      parameters: describeRun,
      responses: { 200: { description: "The run", example: runExample } }
    })),
  HttpApiEndpoint.get("joinStream", "/threads/:threadId/runs/:runId/stream", {
    params: run,
    ...joinOptions,
    success: Events,
    error: [...readErrors, ...streamErrors]
  }).annotateMerge(documented({
    summary: "Stream a run",
    description: "The events of the run after `Last-Event-ID`, then new events as they come.",
    parameters: { ...describeRun, ...describeModes },
    responses: { 200: "The events of the run" },
    event: { data: event }
  })),
  HttpApiEndpoint.get("joinRun", "/threads/:threadId/runs/:runId/join", {
    params: run,
    success: Values,
    error: readErrors
  }).annotateMerge(documented({
    summary: "Wait for a run",
    description: "Answered with the last values of the run when it has ended, or waits for a person.",
    parameters: describeRun,
    responses: { 200: { description: "The values", example: valuesExample } }
  })),
  HttpApiEndpoint.post("cancelRun", "/threads/:threadId/runs/:runId/cancel", {
    params: run,
    success: [HttpApiSchema.NoContent, HttpApiSchema.Accepted],
    error: readErrors
  }).annotateMerge(documented({
    summary: "Cancel a run",
    description: "Cancels the task. The partial answer stays. A run that has ended stays as it is.",
    parameters: describeRun,
    responses: { 204: "The run has ended", 202: "The run ends later" }
  })),
  HttpApiEndpoint.post("streamNewRun", "/runs/stream", {
    payload: RunCreate,
    success: Events,
    error: [...runErrors, ...streamErrors]
  }).annotateMerge(streamed("Create a run in a new thread and stream it", "Starts a task in a new conversation.", {})),
  HttpApiEndpoint.post("waitNewRun", "/runs/wait", { payload: RunCreate, success: Values, error: runErrors })
    .annotateMerge(documented({
      summary: "Create a run in a new thread and wait for it",
      description: "The same, answered with the last values of the run.",
      example: exampleRun,
      responses: { 200: { description: "The values", example: valuesExample } }
    })),
  HttpApiEndpoint.post("createNewRun", "/runs", { payload: RunCreate, success: Run, error: runErrors })
    .annotateMerge(documented({
      summary: "Create a run in a new thread",
      description: "The same, answered at once.",
      example: exampleRun,
      responses: { 200: { description: "The run", example: runExample } }
    })),
  HttpApiEndpoint.get("joinNewStream", "/runs/:runId/stream", {
    params: runId,
    ...joinOptions,
    success: Events,
    error: [...readErrors, ...streamErrors]
  }).annotateMerge(documented({
    summary: "Stream a run by its id alone",
    description: "The events of the run after `Last-Event-ID`, then new events as they come.",
    parameters: { runId: describeRun.runId, ...describeModes },
    responses: { 200: "The events of the run" },
    event: { data: event }
  }))
] as const
