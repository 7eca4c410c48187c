/** The LangGraph face over HTTP: users, refusals, and what its client does not test. */
import { assert, describe, it } from "@effect/vitest"
import * as LangGraph from "@perennial/http/faces/langgraph/LangGraph"
import { Effect } from "effect"
import { body, type Call, discard, json, layerTokens, makeCall, makeEcho, post, problem } from "../support.ts"

const faces = [LangGraph.face]
const key = (user: string) => ({ "x-api-key": `${user}-secret` })

const said = (content: unknown, more: object = {}) => ({
  assistant_id: "echo",
  if_not_exists: "create",
  input: { messages: [{ type: "human", content }] },
  ...more
})

const stream = (call: Call, payload: object, headers: Record<string, string> = {}) =>
  call("/threads/c1/runs/stream", post(payload, headers))

const read = (call: Call, path: string, headers: Record<string, string> = {}) =>
  Effect.flatMap(call(path, { headers }), (response) =>
    // The bodies of many endpoints.
    // oxlint-disable-next-line typescript/no-explicit-any
    Effect.promise((): Promise<any> => response.json()))

/** The ids and the names of the events of a stream, and what a mode has in the end. */
const events = (text: string) =>
  text.trim().split("\n\n").map((frame) => {
    const [id = "", event = "", data = ""] = frame.split("\n").map((line) => line.slice(line.indexOf(":") + 2))
    return { id, event, data: JSON.parse(data) }
  })

const statusOf = (response: Response) => Effect.map(problem(response), ({ status }) => status)

describe("LangGraph", () => {
  it.effect("a stream names its run and its path, without the prefix, and the path has the same events", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces, prefix: "/agents" } })
      const payload = said("a b", { stream_mode: ["messages-tuple", "debug"] })
      const response = yield* call("/agents/threads/c1/runs/stream", post(payload))
      const location = response.headers.get("location") ?? ""
      assert.match(location, /^\/threads\/c1\/runs\/[^/?]+\/stream\?stream_mode=messages-tuple$/)
      assert.strictEqual(`${response.headers.get("content-location")}/stream?stream_mode=messages-tuple`, location)
      const text = yield* body(response)
      // A comment is a heartbeat to the client, which measures the time between two of them.
      assert.isTrue(text.startsWith("\nid: 1-0\nevent: metadata\n"))
      assert.deepStrictEqual(new Set(events(text).map(({ event }) => event)), new Set(["metadata", "messages", "end"]))
      assert.strictEqual(yield* body(yield* call(`/agents${location}`)), text)
      const [first, second] = events(text)
      for (const [id, rest] of [[first?.id, 1], [second?.id, 2], ["-1", 0], ["", 0]] as const) {
        const again = yield* body(yield* call(`/agents${location}`, { headers: { "last-event-id": id ?? "" } }))
        assert.deepStrictEqual(events(again), events(text).slice(rest))
      }
      assert.strictEqual(
        yield* statusOf(yield* call(`/agents${location}`, { headers: { "last-event-id": "x" } })),
        400
      )
    }))

  it.effect("without modes a stream has values; a reader without modes gets those of the run", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const text = yield* body(yield* stream(call, said("a output")))
      assert.deepStrictEqual(events(text).map(({ event }) => event), ["metadata", "values", "values", "values", "end"])
      const { data } = events(text).at(-2) ?? { data: undefined }
      assert.deepStrictEqual(data.messages.map(({ content }: { content: string }) => content), ["a output", "done"])
      assert.strictEqual(data.structured_response.words, 1)
      assert.deepStrictEqual((yield* read(call, "/threads/c1/state")).values, data)
      const custom = yield* stream(call, said("title b", { stream_mode: "custom" }))
      const path = custom.headers.get("content-location") ?? ""
      const seen = yield* body(custom)
      assert.include(seen, "{\"name\":\"conversation_title\",\"data\":\"A title\"}")
      assert.strictEqual(yield* body(yield* call(`${path}/stream`)), seen)
    }))

  it.effect("partial messages cost a bounded multiple of their text", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const text = yield* body(yield* stream(call, said("20x100", { stream_mode: "messages" })))
      const lengths = events(text).flatMap(({ data, event }): ReadonlyArray<number> =>
        event === "messages/partial" ? [data[0].content.length] : []
      )
      const longest = Math.max(...lengths)
      assert.isAbove(longest, 9_000)
      assert.isBelow(lengths.reduce((sum, length) => sum + length, 0), 20 * longest)
    }))

  it.effect("takes messages in every form, and the last one of the user", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const image = { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } }
      const forms = [
        [[{ role: "user", content: "x" }, { type: "ai", content: "y" }], "x"],
        [{ type: "human", content: "x" }, "x"],
        ["x", "x"],
        [["user", "x"], "x"],
        [[["user", "x"]], "x"],
        [
          [{
            lc: 1,
            type: "constructor",
            id: ["langchain_core", "messages", "HumanMessage"],
            kwargs: { content: "x" }
          }],
          "x"
        ],
        [[{ type: "human", content: [{ type: "text", text: "x" }, image] }], [{ type: "text", text: "x" }, image]]
      ] as const
      for (const [messages, content] of forms) {
        const response = yield* call("/runs/wait", post({ assistant_id: "echo", input: { messages } }))
        const values = yield* Effect.promise(() => response.json())
        assert.deepStrictEqual(Object(values).messages[0].content, content)
      }
    }))

  it.effect("refuses what it cannot run", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const refused = Effect.fnUntraced(function*(payload: object, status: number) {
        assert.strictEqual(yield* statusOf(yield* stream(call, payload)), status)
      })
      yield* refused(said("a", { if_not_exists: "reject" }), 404)
      for (const content of ["", [], 1, [{ type: "image_url", image_url: "https://example.com/a.png" }]]) {
        yield* refused(said(content), 400)
      }
      yield* refused({ assistant_id: "echo", if_not_exists: "create", input: null }, 400)
      yield* refused(said("a", { assistant_id: "nobody" }), 422)
      yield* discard(yield* stream(call, said("a")))
      yield* refused(said("a", { checkpoint_id: "nothing" }), 400)
      yield* refused(said("a", { command: { resume: true } }), 400)
      for (
        const path of [
          "/threads/c2",
          "/threads/c2/state",
          "/threads/c1/runs/x",
          "/threads/c1/runs/x/stream",
          "/runs/x/stream"
        ]
      ) {
        assert.strictEqual(yield* statusOf(yield* call(path)), 404)
      }
      assert.strictEqual(yield* statusOf(yield* call("/threads/c1/state/nothing")), 400)
      assert.strictEqual(yield* statusOf(yield* call("/assistants/nobody")), 422)
      assert.strictEqual(yield* statusOf(yield* call("/threads/search", post({ sort_order: "asc" }))), 400)
    }))

  it.effect("every form of an answer decides", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const answers = [
        [true, "approved"],
        [false, "denied"],
        [{ approved: false, reason: "No." }, "denied"],
        [{ type: "accept" }, "approved"],
        [[{ type: "ignore" }], "denied"],
        [{ decisions: [{ type: "edit", edited_action: { name: "pay", args: { cents: 1 } } }] }, "approved"],
        [(id: string) => ({ [id]: { decisions: [{ type: "reject", message: "No." }] } }), "denied"]
      ] as const
      for (const [i, [answer, expected]] of answers.entries()) {
        const path = `/threads/a${i}`
        const wait = (payload: object) =>
          Effect.flatMap(call(`${path}/runs/wait`, post(payload)), (response) => Effect.promise(() => response.json()))
        const [interrupt] = Object(yield* wait(said("approve"))).__interrupt__
        for (const wrong of ["maybe", { decisions: [] }, [true, true], null]) {
          const refused = yield* call(`${path}/runs/wait`, post({ assistant_id: "echo", command: { resume: wrong } }))
          assert.strictEqual(yield* statusOf(refused), 400)
        }
        const resume = typeof answer === "function" ? answer(interrupt.id) : answer
        const text = yield* body(
          yield* call(
            `${path}/runs/stream`,
            post({ assistant_id: "echo", command: { resume }, stream_mode: "messages-tuple" })
          )
        )
        assert.include(text, `"content":"${expected}"`)
      }
    }))

  it.effect("threads are found, named and deleted", () =>
    Effect.gen(function*() {
      const echo = makeEcho()
      const call = yield* makeCall({ echo, server: { faces } })
      const created = yield* json(yield* call("/threads", post({ metadata: { title: " A story ", graph_id: "x" } })))
      assert.strictEqual(Object(created).metadata.title, "A story")
      const again = yield* json(yield* call("/threads", post({ thread_id: Object(created).thread_id })))
      assert.deepStrictEqual(again, created)
      yield* discard(yield* stream(call, said("a hold")))
      yield* body(yield* call("/threads/c2/runs/wait", post(said("b"))))
      const search = Effect.fnUntraced(function*(query: object) {
        const response = yield* call("/threads/search", post(query))
        const found = JSON.parse(yield* body(response)) as ReadonlyArray<{ readonly thread_id: string }>
        return found.map((thread) => thread.thread_id)
      })
      assert.lengthOf(yield* search({ limit: 2 }), 2)
      assert.lengthOf(yield* search({ limit: 2, offset: 2 }), 1)
      assert.deepStrictEqual(yield* search({ status: "busy" }), ["c1"])
      assert.sameMembers(yield* search({ ids: ["c1", "c2", "c9"] }), ["c1", "c2"])
      const renamed = yield* call("/threads/c2", { ...post({ metadata: { title: "New" } }), method: "PATCH" })
      assert.strictEqual(Object(yield* json(renamed)).metadata.title, "New")
      assert.strictEqual(yield* statusOf(yield* call("/threads/c1", { method: "DELETE" })), 409)
      assert.strictEqual((yield* call("/threads/c2", { method: "DELETE" })).status, 204)
      assert.strictEqual(yield* statusOf(yield* call("/threads/c2")), 404)
      const [run] = yield* read(call, "/threads/c1/runs?status=running")
      assert.deepStrictEqual(yield* read(call, "/threads/c1/runs?status=success"), [])
      assert.strictEqual((yield* call(`/threads/c1/runs/${run.run_id}/cancel`, { method: "POST" })).status, 204)
    }))

  it.effect("a long thread has all its messages, and its history one state for each run", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const texts = Array.from({ length: 25 }, (_, i) => `turn ${i}`)
      for (const text of texts) yield* body(yield* call("/threads/c1/runs/wait", post(said(text))))
      const { values: { messages } } = yield* read(call, "/threads/c1/state")
      assert.deepStrictEqual(
        messages.map(({ content }: { readonly content: string }) => content),
        texts.flatMap((text) => [text, "done"])
      )
      const history = Effect.fnUntraced(function*(query: object) {
        const states = JSON.parse(yield* body(yield* call("/threads/c1/history", post(query))))
        return states.map(({ values }: { readonly values: { readonly messages: object } }) => values.messages)
      })
      const states = yield* history({ limit: 100 })
      assert.deepStrictEqual(states, [...texts, ""].map((_, i) => messages.slice(0, messages.length - 2 * i)))
      assert.deepStrictEqual(yield* history({}), states.slice(0, 10))
      const [newest] = JSON.parse(yield* body(yield* call("/threads/c1/history", post({ limit: 1 }))))
      const before = { configurable: { checkpoint_id: newest.checkpoint.checkpoint_id } }
      assert.deepStrictEqual(yield* history({ limit: 2, before }), states.slice(1, 3))
    }))

  it.effect("P12: the key is a token, and what belongs to another user does not exist", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces }, auth: layerTokens })
      for (const path of ["/ok", "/info"]) assert.strictEqual((yield* call(path)).status, 200)
      assert.strictEqual(yield* statusOf(yield* stream(call, said("a"))), 401)
      assert.strictEqual(yield* statusOf(yield* stream(call, said("a"), key("mallory"))), 401)
      const both = { ...key("alice"), authorization: "Bearer wrong" }
      assert.strictEqual(yield* statusOf(yield* stream(call, said("a"), both)), 401)
      yield* discard(yield* stream(call, said("approve"), key("alice")))
      const [run] = yield* read(call, "/threads/c1/runs", { authorization: "Bearer alice-secret" })
      const path = `/threads/c1/runs/${run.run_id}`
      for (const more of ["", "/stream", "/join"]) {
        assert.strictEqual(yield* statusOf(yield* call(`${path}${more}`, { headers: key("bob") })), 404)
      }
      const none = `/threads/c9/runs/${run.run_id}`
      assert.strictEqual(yield* statusOf(yield* call(none, { headers: key("alice") })), 404)
      const attempts = [
        ["/threads/c1", {}],
        ["/threads/c1/state", {}],
        ["/threads/c1/runs", {}],
        ["/threads/c1/history", post({})],
        [`${path}/cancel`, { method: "POST" }],
        ["/threads/c1/runs/stream", post(said("a"))],
        ["/threads", post({ thread_id: "c1" })],
        ["/threads/c1", { method: "DELETE" }]
      ] as const
      for (const [path, init] of attempts) {
        const headers = { "content-type": "application/json", ...key("bob") }
        assert.strictEqual(yield* statusOf(yield* call(path, { ...init, headers })), 404, path)
      }
      const resume = { assistant_id: "echo", command: { resume: true } }
      assert.strictEqual(yield* statusOf(yield* stream(call, resume, key("bob"))), 400)
      assert.deepStrictEqual(yield* read(call, "/threads/c1/runs?status=success", key("alice")), [])
      const found = yield* call("/threads/search", post({}, key("bob")))
      assert.strictEqual(yield* body(found), "[]")
    }))
})
