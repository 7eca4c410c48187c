/** Which tasks a list of the API has: the query parameters, and their descriptions. */
import { AgentId, TaskId } from "@perennial/domain/Ids"
import { TaskStatus } from "@perennial/domain/Task"
import { maxSearched } from "@perennial/domain/TaskManager"
import { Schema } from "effect"
import { describeLimit, limit, longest } from "./apiParts.ts"

export const taskQuery = {
  agentId: Schema.optionalKey(AgentId),
  status: Schema.optionalKey(Schema.Array(TaskStatus)),
  waiting: Schema.optionalKey(Schema.Literal("true")),
  parent: Schema.optionalKey(TaskId),
  q: Schema.optionalKey(Schema.NonEmptyString.check(Schema.isMaxLength(200))),
  from: Schema.optionalKey(Schema.DateTimeUtcFromString),
  to: Schema.optionalKey(Schema.DateTimeUtcFromString),
  order: Schema.optionalKey(Schema.Literals(["newest", "oldest"])),
  before: Schema.optionalKey(TaskId),
  after: Schema.optionalKey(TaskId),
  limit: limit(longest.tasks)
}

export const describeTaskQuery = {
  agentId: { description: "Only the tasks of this agent." },
  status: { description: "Only tasks with one of these statuses." },
  waiting: { description: "With `true` only tasks with tool calls that wait for a person." },
  parent: {
    description:
      "Only the tasks below this task: its child tasks, their child tasks, and so on. Without `parent` the list " +
      "of a user has no child tasks, except with `waiting` or `conversationId`."
  },
  q: {
    description: `Only tasks with this text in their preview or title, among the first ${maxSearched} that the other ` +
      "parameters select."
  },
  from: { description: "Only tasks that were accepted at this time or later." },
  to: { description: "Only tasks that were accepted before this time." },
  order: { description: "Which tasks come first: `newest`, the default, or `oldest`." },
  before: { description: "The `next` of the page before, newest first." },
  after: { description: "The `next` of the page before, oldest first." },
  limit: describeLimit("tasks", 20)
}

type Query = { readonly [Name in keyof typeof taskQuery]?: (typeof taskQuery)[Name]["Type"] | undefined }

/** The options of `TaskManager.list`. */
export const toListOptions = <Q extends Query>({ q, waiting, ...options }: Q) => ({
  ...options,
  ...(q === undefined ? undefined : { text: q }),
  ...(waiting === undefined ? undefined : { waiting: true })
})
