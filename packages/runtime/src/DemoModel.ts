/**
 * The model of a server without a key. It says that it is scripted, streams about 20 words a second for half a minute, and
 * calls the tools `wait` and `send_note` once each, if they are offered.
 *
 * Its answer is a pure function of the prompt. After a crash, another process therefore gets the same answer.
 *
 * @since 0.1.0
 */
import * as ContentBounds from "@perennial/domain/ContentBounds"
import type { Layer } from "effect"
import type { LanguageModel, Prompt } from "effect/ai"
import * as ScriptedModel from "./ScriptedModel.ts"

const pace = { drip: "50 millis" } as const

const opening = `
I am the scripted model of Perennial: no language model is connected, so every word you read was written beforehand.
Set ANTHROPIC_API_KEY and start the server again, and a real model answers in my place. Until then I am good for one
thing: I take my time, about twenty words a second, so that you can see what happens to a task while you are not looking.

Your message was stored before you received the id of this task. From that moment on the task belongs to the server and
not to your connection. Close this terminal, and I go on talking. Open two others, and both see the same events with the
same numbers, from the first one to the last, whether they join now or in a minute. Each event you see carries a number.
Remember the last one, come back with it in the header Last-Event-ID, and you get exactly what came after it: nothing
twice, nothing left out.

If you want to be rude, kill the server with signal nine while I speak, and start it again. What you have read so far
stays as it is, because nothing is shown before it is stored. The new process finds the task without an owner, writes one
event named resumed, and makes me begin this paragraph's step again. Clients drop the unfinished text and show the new
one. A whole step that was finished is never paid for twice.
`

const beforeWait = `
Now I call a slow tool. It only waits, which makes it safe to repeat: if the server dies in the middle, the call runs
again under the same id, and its progress starts from zero.
`

const beforeNote = `
That is done. The next tool is not safe to repeat, because it changes something outside. If the server dies while
it runs, nobody can know whether it had an effect. Then it is not called again, and I am told that its outcome is unknown.
`

const closing = `
This is the end of the walk. The task will now write its last event, named done, together with its final status, and
nothing comes after it. The conversation keeps your message, my answers and the results of the tools, so the next
message goes on from here. You can also cancel a task while I speak: the model is stopped, what I have said so far is kept, and the
conversation is free for the next message at once. Two messages at the same time in one conversation are refused unless
you ask for a queue. That, in a few hundred words, is what Perennial is for: the work goes on, whoever is watching, and
whatever happens to the machine it started on.
`

interface Past {
  readonly asked: string
  readonly turns: number
  readonly called: ReadonlySet<string>
  readonly failed: ReadonlySet<string>
}

/** The messages since the user's last message. */
const past = (prompt: Prompt.Prompt): Past => {
  let asked = ""
  let turns = 0
  const called = new Set<string>()
  const failed = new Set<string>()
  for (const message of prompt.content) {
    if (message.role === "user") {
      turns++
      asked = message.content.map((part) => part.type === "text" ? part.text : "").join("")
      called.clear()
      failed.clear()
    } else if (message.role === "assistant") {
      for (const part of message.content) if (part.type === "tool-call") called.add(part.name)
    } else if (message.role === "tool") {
      for (const part of message.content) if (part.type === "tool-result" && part.isFailure) failed.add(part.name)
    }
  }
  return { asked, turns, called, failed }
}

const say = (...texts: ReadonlyArray<string>) =>
  ScriptedModel.words(texts.map((text) => text.trim().replace(/(\S)\n(?=\S)/g, "$1 ")).join("\n\n"))

const noteOutcome = ({ called, failed }: Past): ReadonlyArray<string> => {
  if (!called.has("send_note")) return []
  return failed.has("send_note")
    ? ["I do not know whether the note was sent, so I leave it at that."]
    : ["The note was sent."]
}

const laterTurn = ({ asked, turns }: Past): ScriptedModel.Turn => [
  pace,
  ...say(
    `This is message number ${turns} of the conversation, and I am still the scripted model: I cannot answer what you
asked, which began with "${
      ContentBounds.truncate(asked, 60)
    }". But the history is whole, whatever happened to the tasks before this
one, and that is what I am here to show. Set ANTHROPIC_API_KEY to talk to a real model.`
  )
]

const turn = (request: ScriptedModel.ScriptedRequest): ScriptedModel.Turn => {
  const now = past(request.prompt)
  if (now.turns > 1) return laterTurn(now)
  const may = (tool: string) => request.toolChoice !== "none" && request.tools.includes(tool) && !now.called.has(tool)
  const begin = now.called.size === 0 ? [opening] : []
  if (may("wait")) return [pace, ...say(...begin, beforeWait), { tool: "wait", params: { seconds: 5 } }]
  if (may("send_note")) {
    return [pace, ...say(...begin, beforeNote), { tool: "send_note", params: { text: "Sent by the scripted model." } }]
  }
  return [pace, ...say(...begin, ...noteOutcome(now), closing)]
}

/**
 * The demonstration model.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<LanguageModel.LanguageModel> = ScriptedModel.layer({ otherwise: turn })
