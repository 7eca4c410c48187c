/**
 * A conversation that is stored in files. End the program in the middle and run it again: the conversation continues.
 *
 *     npx -y pnpm@12.21.0 exec node examples/custom-backend/src/main.ts
 */
import { NodeServices } from "@effect/platform-node"
import { ConversationId } from "@perennial/domain/Ids"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Console, Effect, Layer, Stream } from "effect"
import * as FileConversationStore from "./FileConversationStore.ts"
import * as FileTaskBackend from "./FileTaskBackend.ts"

const files = Layer.mergeAll(
  FileTaskBackend.layer(".perennial/tasks.jsonl"),
  FileConversationStore.layer(".perennial/conversations.jsonl")
)

const agent = LlmAgent.layer({
  agentId: "assistant",
  systemPrompt: "You are a helpful assistant.",
  model: ScriptedModel.layer({ turns: [["It is ", "in a file."]] })
})

const program = Effect.gen(function*() {
  const tasks = yield* TaskManager
  const task = yield* tasks.start({
    message: "Where is this kept?",
    conversationId: ConversationId.make("in-files"),
    onBusy: "enqueue"
  })
  const events = yield* tasks.events(task.id)
  yield* Stream.runForEach(events, ({ event, seq }) => Console.log(seq, event))
})

await program.pipe(
  Effect.provide(TaskRuntime.layer.pipe(Layer.provide([files, agent]), Layer.provide(NodeServices.layer))),
  Effect.runPromise
)
