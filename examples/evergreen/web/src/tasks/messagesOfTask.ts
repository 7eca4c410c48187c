/** What a task page reads of a conversation. */
import { at, get, type Message, type Page, query, replaced } from "../api.ts"

/** The messages of a task alone, oldest first. They follow one another in their conversation. */
export const messagesOfTask = async (conversationId: string, taskId: string): Promise<ReadonlyArray<Message>> => {
  const path = `/conversations/${at(conversationId)}/messages`
  // The page after a message has what follows it: the message before the task's own is the place to begin at.
  const { items: [before] }: Page<Message> = await get(
    `${path}?${query({ order: "newest", after: `${taskId}/1`, limit: 1 })}`
  )
  const own: Array<Message> = []
  for (let after = before?.id;;) {
    const { items, next }: Page<Message> = await get(`${path}?${query({ after, limit: 50 })}`)
    own.push(...items.filter((message) => message.taskId === taskId))
    if (next === undefined || items.at(-1)?.taskId !== taskId) break
    after = next
  }
  // A message that was edited or answered again is not in the conversation any more.
  return own.length > 0 ? own : (await replaced(conversationId)).filter((message) => message.taskId === taskId)
}
