/**
 * The model of a server without a key. It says that it is scripted, streams about 20 words a second for half a minute, and
 * calls the tools `wait` and `send_note` once each, if they are offered. A message that asks for a table gets formatted text, and
 * a message that asks for an announcement gets a call of the tool `announce`.
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

const thought = { thinking: ["A table, a list and code. ", "I have one of each."] } as const

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

const formatted = `
Nothing of this was written by a language model, but it is formatted as one would:

## What survives what

| what happens | what you notice |
| --- | --- |
| the page is closed | nothing |
| the network is gone | a pause |
| the server is killed | a pause of some seconds |

1. **Every event is stored** before it is shown.
2. A reader comes back with the number of the *last* event that it has.
3. It gets what came after that event, \`exactly once\`.

\`\`\`ts
const task = yield* tasks.start({ message: "Write the report." })
// The process may die here. The task goes on in another one.
return yield* tasks.events(task.id, { after: 0 })
\`\`\`

> The log of a task is its journal: a process that takes over reads the journal, and goes on.

Readers are [Server-Sent Events](https://html.spec.whatwg.org/multipage/server-sent-events.html): any browser has them.
`

const beforeAnnounce = `
I have written the announcement. It goes to everybody and cannot be taken back, so the tool asks you first. You can allow it,
allow it with other words, or deny it. Until you decide, nothing runs, and no process has to stay alive for it.
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

const announcement = { subject: "Release 1.0", text: "The release is out. Thank you all." }

const announceOutcome = ({ failed }: Past): string =>
  failed.has("announce")
    ? "Nothing was announced, and I leave it at that."
    : "It is announced. The words that you allowed are in the result of the tool."

/** The answer to a message that asks for something to look at; undefined for any other message. */
const shown = (now: Past, may: (tool: string) => boolean): ScriptedModel.Turn | undefined => {
  if (/\btable\b/i.test(now.asked)) return [pace, thought, ...ScriptedModel.words(formatted.trim())]
  if (!/\bannounce\b/i.test(now.asked)) return undefined
  if (now.called.has("announce")) return [pace, ...say(announceOutcome(now))]
  return may("announce") ? [pace, ...say(beforeAnnounce), { tool: "announce", params: announcement }] : undefined
}

const turn = (request: ScriptedModel.ScriptedRequest): ScriptedModel.Turn => {
  const now = past(request.prompt)
  const may = (tool: string) => request.toolChoice !== "none" && request.tools.includes(tool) && !now.called.has(tool)
  const asked = shown(now, may)
  if (asked !== undefined) return asked
  if (now.turns > 1) return laterTurn(now)
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
