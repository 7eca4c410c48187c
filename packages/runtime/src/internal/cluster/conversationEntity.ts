/** A conversation as an entity of the cluster: an address that one runner answers at a time. */
import { type AgentId, type ConversationId, TaskId } from "@perennial/domain/Ids"
import type { Head } from "@perennial/domain/TaskBackend"
import { Context, Schema } from "effect"
import { ClusterSchema, Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"

/** The shard group of an agent: the processes of the group execute its tasks. */
export type ShardGroupOf = (agentId: AgentId) => string

/** The group of every entity, unless an application says otherwise. */
export const defaultGroup = "default"

/**
 * The message that asks for the execution of a task.
 *
 * It is stored until its handler has replied, so that a runner that dies or loses the shard leaves the message to the next
 * runner. A caller that goes away does not stop it. When the shard leaves, the handler is interrupted, which is the hand-over.
 * The store keeps the key of a message until the message is pruned: a task that is submitted again needs another `n`.
 */
const Run = Rpc.make("Run", {
  payload: { taskId: TaskId, n: Schema.Int },
  primaryKey: ({ n, taskId }) => `${taskId}/${n}`
}).annotate(ClusterSchema.Persisted, true)
  .annotate(ClusterSchema.Uninterruptible, "client")
  .annotate(ClusterSchema.InterruptOnTermination, true)

export const Conversation = Entity.make("Conversation", [Run]).annotateMerge(
  Context.make(ClusterSchema.ShardGroup, (id: string) => {
    const end = id.indexOf(separator)
    return end === -1 ? defaultGroup : id.slice(0, end)
  }).pipe(Context.add(ClusterSchema.ClientTracingEnabled, false))
)

/** No id of Perennial has a control character. */
const separator = "\u0001"

/** The address of the conversation of a head. The cluster has 255 characters for it: 200 of the id, and those of the group. */
export const entityIdOf = (
  { agentId, conversationId }: { readonly agentId: AgentId; readonly conversationId: ConversationId },
  groupOf: ShardGroupOf
): string => {
  const group = groupOf(agentId)
  return group === defaultGroup ? conversationId : `${group}${separator}${conversationId}`
}

/** A message for a head that is submitted for the first time. The token counts the claims of the task. */
export const firstRun = ({ taskId, token }: Head): { readonly taskId: TaskId; readonly n: number } => ({
  taskId,
  n: token
})
