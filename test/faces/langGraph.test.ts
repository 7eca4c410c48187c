/** What LangGraph's clients do besides the cases that every client has. */
import { assert, describe, it } from "@effect/vitest"
import { Client as Sdk, type Message } from "@langchain/langgraph-sdk"
import * as LangGraph from "@perennial/http/faces/langgraph/LangGraph"
import { Effect, Fiber } from "effect"
import { readFileSync } from "node:fs"
import * as Page from "./clients/langGraphPage.ts"
import * as Client from "./clients/langGraphRun.ts"
import { start } from "./server.ts"
import { assertWhole } from "./shown.ts"

const server = start([LangGraph.face])

const promise = Effect.promise

const textsOf = (messages: ReadonlyArray<Message>) =>
  messages.flatMap(({ content, type }) => type === "human" ? [content] : [])

const stateOf = (client: Sdk, threadId: string) =>
  Effect.map(
    promise(() => client.threads.getState<{ messages: Array<Message> }>(threadId)),
    ({ values }) => values.messages
  )

/** A second run while the first one holds. */
const second = Effect.fnUntraced(
  function*(client: Sdk, threadId: string, multitaskStrategy?: "interrupt" | "rollback") {
    const begun = Client.until("I hold on ")
    const first = yield* Effect.forkChild(Client.say(client, threadId, "hold on", begun.onPart))
    yield* begun.seen
    const run = yield* promise(() =>
      client.runs.create(threadId, Client.assistant, {
        input: Client.human("tell me"),
        ...(multitaskStrategy === undefined ? {} : { multitaskStrategy })
      })
    )
    return { first, run }
  }
)

describe("multitask strategies", () => {
  it.live("reject: the second run is refused", () =>
    Effect.gen(function*() {
      const client = Client.connect((yield* server).address)
      const { run } = yield* second(client, "c1")
      yield* promise(() =>
        client.runs.create("c1", Client.assistant, { input: Client.human("no"), multitaskStrategy: "reject" }).then(
          () => assert.fail("accepted"),
          (error) => assert.strictEqual(error.status, 409)
        )
      )
      assert.strictEqual(run.status, "pending")
    }))

  it.live("enqueue, which is the default: the second run waits, and its values begin with the first", () =>
    Effect.gen(function*() {
      const started = yield* server
      const client = Client.connect(started.address)
      const { first, run } = yield* second(client, "c1")
      assert.strictEqual(run.status, "pending")
      const [, held] = yield* promise(() => client.runs.list("c1"))
      assert(held !== undefined)
      const joined = yield* Effect.forkChild(
        promise(() => Client.follow(client, "c1", client.runs.joinStream("c1", run.run_id, { streamMode: ["values"] })))
      )
      yield* promise(() => client.runs.cancel("c1", held.run_id))
      yield* Fiber.join(first)
      const parts = yield* Fiber.join(joined)
      assert.deepStrictEqual(textsOf(Client.valuesOf(parts)), ["hold on", "tell me"])
      yield* Client.whole(started, "c1", parts)
    }))

  it.live("interrupt: the first run ends, and its partial answer stays", () =>
    Effect.gen(function*() {
      const started = yield* server
      const client = Client.connect(started.address)
      const { first, run } = yield* second(client, "c1", "interrupt")
      assert.strictEqual((yield* Fiber.join(first)).at(-1)?.data.status, "interrupted")
      yield* promise(() => client.runs.join("c1", run.run_id))
      const messages = yield* stateOf(client, "c1")
      assert.deepStrictEqual(textsOf(messages), ["hold on", "tell me"])
      assert.include(JSON.stringify(messages), "I hold on ")
      yield* assertWhole(Client.lines(messages), started.address, "c1")
    }))

  it.live("rollback: the first run ends, and leaves nothing in the thread", () =>
    Effect.gen(function*() {
      const started = yield* server
      const client = Client.connect(started.address)
      yield* Client.say(client, "c1", "look here")
      const { first, run } = yield* second(client, "c1", "rollback")
      assert.strictEqual((yield* Fiber.join(first)).at(-1)?.data.status, "interrupted")
      yield* promise(() => client.runs.join("c1", run.run_id))
      const messages = yield* stateOf(client, "c1")
      assert.deepStrictEqual(textsOf(messages), ["look here", "tell me"])
      assert.notInclude(JSON.stringify(messages), "I hold on ")
      yield* assertWhole(Client.lines(messages), started.address, "c1")
    }))

  it.live("new input in a thread that waits for a person does without the answer", () =>
    Effect.gen(function*() {
      const started = yield* server
      const client = Client.connect(started.address)
      yield* Client.say(client, "c1", "pay it")
      const parts = yield* Client.run(client, "c1", { input: Client.human("tell me"), multitaskStrategy: "reject" })
      assert.strictEqual(parts.at(-1)?.data.status, "success")
      assert.deepStrictEqual(textsOf(Client.valuesOf(parts)), ["pay it", "tell me"])
      const [, paying] = yield* promise(() => client.runs.list("c1"))
      assert.strictEqual(paying?.status, "interrupted")
    }))

  it.live("a page that submits while a run is active queues the message, and reads its run afterwards", () =>
    Effect.gen(function*() {
      const started = yield* server
      const page = Page.make(started.address)
      const running = yield* Effect.forkChild(Page.say(page, "wait for it", { threadId: "c1" }))
      yield* Page.until(page, Page.shows("I begin "))
      yield* Page.say(page, "tell me")
      assert.strictEqual(page.queueSize, 1)
      yield* started.gate.open
      yield* Fiber.join(running)
      yield* Page.until(page, ({ isLoading, queueSize }) => !isLoading && queueSize === 0 && Page.shows("völlig")(page))
      yield* assertWhole(Page.shown(page), started.address, "c1")
    }))
})

describe("threads", () => {
  it.live("a checkpoint edits a message, and answers it again", () =>
    Effect.gen(function*() {
      const started = yield* server
      const client = Client.connect(started.address)
      yield* Client.say(client, "c1", "look here")
      yield* Client.say(client, "c1", "tell me")
      const history = yield* promise(() => client.threads.getHistory<{ messages: Array<Message> }>("c1"))
      assert.deepStrictEqual(history.map(({ values }) => textsOf(values.messages)), [
        ["look here", "tell me"],
        ["look here"],
        []
      ])
      const [newest, earlier, root] = history
      assert(newest !== undefined && earlier !== undefined && root !== undefined)
      assert.strictEqual(newest.parent_checkpoint?.checkpoint_id, earlier.checkpoint.checkpoint_id)
      const { checkpoint_id: checkpointId } = earlier.checkpoint
      assert(typeof checkpointId === "string")
      assert.deepStrictEqual((yield* promise(() => client.threads.getState("c1", checkpointId))).values, earlier.values)
      const again = yield* Client.run(client, "c1", { input: null, checkpointId })
      assert.deepStrictEqual(textsOf(Client.valuesOf(again)), ["look here", "tell me"])
      assert.notStrictEqual(Client.valuesOf(again).at(-1)?.id, newest.values.messages.at(-1)?.id)
      const edited = yield* Client.run(client, "c1", {
        input: Client.human("tell us"),
        checkpoint: root.checkpoint
      })
      assert.deepStrictEqual(textsOf(Client.valuesOf(edited)), ["tell us"])
      yield* Client.whole(started, "c1", edited)
    }))

  it.live("the messages keep the ids of the client, and a stateless run has a thread of its own", () =>
    Effect.gen(function*() {
      const client = Client.connect((yield* server).address)
      const input = { messages: [{ type: "human", id: "mine", content: [{ type: "text", text: "tell me" }] }] }
      const named = yield* Client.run(client, "c1", { input })
      assert.strictEqual(Client.valuesOf(named)[0]?.id, "mine")
      let threadId: string | undefined
      const values = yield* promise(() =>
        client.runs.wait(null, Client.assistant, {
          input: Client.human("tell me"),
          onRunCreated: (run) => {
            threadId = run.thread_id
          }
        })
      )
      assert(threadId !== undefined)
      assert.deepStrictEqual((yield* promise(() => client.threads.getState(threadId ?? ""))).values, values)
    }))

  it.live("lists the agents", () =>
    Effect.gen(function*() {
      const client = Client.connect((yield* server).address)
      const [first, ...rest] = yield* promise(() => client.assistants.search())
      assert.strictEqual(first?.assistant_id, Client.assistant)
      assert.lengthOf(rest, 0)
      assert.strictEqual((yield* promise(() => client.assistants.get(Client.assistant))).graph_id, Client.assistant)
      assert.containsAllKeys(yield* promise(() => client.assistants.getSchemas(Client.assistant)), ["state_schema"])
    }))
})

it.live("the program of docs/faces/langgraph.md runs: a team changes one URL", () =>
  Effect.gen(function*() {
    const { address } = yield* server
    const [, snippet = ""] = /```ts\nimport[^\n]*\n([^]*?)```/.exec(readFileSync("docs/faces/langgraph.md", "utf8")) ??
      []
    assert.include(snippet, "http://127.0.0.1:3000")
    const written: Array<string> = []
    const out = { stdout: { write: (text: string) => written.push(text) } }
    const program = `return (async () => {${snippet.replace("http://127.0.0.1:3000", address)}})()`
    // oxlint-disable-next-line typescript/no-implied-eval -- the program of the page, as it is
    yield* promise(async () => await new Function("Client", "token", "process", program)(Sdk, "none", out))
    assert.match(written.join(""), /^Once upon a time .*looked at it\.$/s)
  }))
