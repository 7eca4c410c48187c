/** What the spans of a task have in common. */
import type { Claim } from "@perennial/domain/TaskBackend"
import { Data, Exit } from "effect"

export const taskAttributes = ({ agentId, attempt, conversationId, taskId }: Claim) => ({
  "gen_ai.agent.id": agentId,
  "gen_ai.conversation.id": conversationId,
  "perennial.task.id": taskId,
  "perennial.task.attempt": attempt
})

/** A failure as a trace has it: a code, and no text that a model, a tool or a user wrote. */
export class SpanFailure extends Data.TaggedError("SpanFailure")<{ readonly message: string }> {}

export const failed = (code: string): Exit.Exit<never, SpanFailure> => Exit.fail(new SpanFailure({ message: code }))
