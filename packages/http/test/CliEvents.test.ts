import { assert, it } from "@effect/vitest"
import { ConversationId, TaskId } from "@perennial/domain/Ids"
import type { TaskEvent } from "@perennial/domain/TaskEvent"
import * as Events from "../src/cli/events.ts"

const taskId = TaskId.make("t1")
const task = { taskId, conversationId: ConversationId.make("c1") }

/** What is printed for events, standard output and remarks together. */
const printed = (...events: ReadonlyArray<TaskEvent>): string => {
  let screen = Events.empty
  return events.map((event, i) => {
    const [next, pieces] = Events.render(screen, taskId, { seq: i + 1, at: 0, event }, (...words) => words.join(" "))
    screen = next
    return pieces.map(({ text, to }) => to === "write" ? text : `# ${text}\n`).join("")
  }).join("")
}

it("a remark names the model of each request, and says why and after how long a task was resumed", () => {
  const text = printed(
    { type: "model_request", ...task, step: 1, tryNumber: 1, model: "opus" },
    { type: "text", ...task, content: "Half" },
    { type: "resumed", ...task, attempt: 2, discardAfter: 1, reason: "crash", gapMillis: 3_100 },
    { type: "model_request", ...task, step: 1, tryNumber: 2, model: "opus" },
    { type: "text", ...task, content: "Whole" },
    { type: "resumed", ...task, attempt: 3, discardAfter: 1, reason: "handover" },
    { type: "resumed", ...task, attempt: 4, discardAfter: 1, reason: "of a later version", gapMillis: 20 },
    { type: "model_request", ...task, step: 1, tryNumber: 1 }
  )
  assert.deepStrictEqual(text.split("\n"), [
    "# Model opus, step 1",
    "Half",
    "# Another process continues the task after a crash and 3.1 s without an owner, attempt 2. The unfinished message above is void.",
    "# Model opus, step 1, try 2",
    "Whole",
    "# Another process continues the task after a hand-over, attempt 3. The unfinished message above is void.",
    "# Another process continues the task and 0.02 s without an owner, attempt 4. The unfinished message above is void.",
    ""
  ])
})
