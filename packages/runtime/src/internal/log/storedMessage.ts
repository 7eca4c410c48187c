/**
 * The message that an event adds to the conversation of its task.
 */
import type { StoredMessage } from "@perennial/domain/Conversation"
import { messageId } from "@perennial/domain/Ids"
import type { Claim } from "@perennial/domain/TaskBackend"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { DateTime } from "effect"

const messageBase = ({ taskId }: Claim, at: number, seq: number) => ({
  id: messageId(taskId, seq),
  taskId,
  createdAt: DateTime.makeUnsafe(at)
})

/** The message that an event adds to the conversation; undefined for events that add none. */
export const toStoredMessage = (claim: Claim, { at, event, seq }: StoredEvent): StoredMessage | undefined => {
  switch (event.type) {
    case "ack":
      // If the message was readable before, the conversation has it.
      return claim.unreadable === "input" ? undefined : {
        id: event.messageId,
        taskId: claim.taskId,
        createdAt: DateTime.makeUnsafe(at),
        message: claim.input,
        status: "complete",
        ...(claim.spec.replaces === undefined ? {} : { replaces: claim.spec.replaces }),
        ...(claim.spec.userMetadata === undefined ? {} : { metadata: claim.spec.userMetadata })
      }
    case "message":
      return {
        ...messageBase(claim, at, seq),
        message: event.message,
        usage: event.usage,
        status: event.partial === true ? "partial" : "complete"
      }
    case "tool_result":
      return {
        ...messageBase(claim, at, seq),
        message: {
          role: "tool",
          content: [{
            type: "tool_result",
            toolCallId: event.toolCallId,
            tool: event.tool,
            result: event.result,
            status: event.status,
            ...(event.decision === undefined ? {} : { decision: event.decision })
          }]
        },
        status: "complete"
      }
    default:
      return undefined
  }
}
