/** OpenAI's own client, with responses that run in the background. The application goes on after a cut, by `starting_after`. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import OpenAI from "openai"
import type { Response, ResponseStreamEvent } from "openai/resources/responses/responses"
import * as Rest from "../../support/rest.ts"
import type { Client, Server } from "../client.ts"
import * as Proxy from "../proxy.ts"
import { assertWhole, completed, type Line } from "../shown.ts"

export const connect = (address: string) => new OpenAI({ apiKey: "none", baseURL: `${address}/v1`, maxRetries: 0 })

const model = "assistant"

export const create = (client: OpenAI, input: string, more: { readonly conversation?: string } = {}) =>
  Effect.promise(() => client.responses.create({ model, input, background: true, stream: true, ...more }))

/** The events of a stream up to its end or its cut. */
const collect = async (stream: AsyncIterable<ResponseStreamEvent>, to: Array<ResponseStreamEvent>): Promise<void> => {
  try {
    for await (const event of stream) to.push(event)
  } catch (error) {
    // A cut in the middle of an event is JSON that is not complete.
    if (!/terminated|malformed server-sent event JSON/.test(String(error))) throw error
  }
}

const isLast = (event: ResponseStreamEvent | undefined): boolean =>
  ["response.completed", "response.failed", "response.incomplete"].includes(event?.type ?? "")

/** The whole of a response, over as many connections as it takes. */
export const follow = async (client: OpenAI, first: AsyncIterable<ResponseStreamEvent>) => {
  const events: Array<ResponseStreamEvent> = []
  await collect(first, events)
  while (!isLast(events.at(-1))) {
    const [created] = events
    assert(created?.type === "response.created")
    const after = events.at(-1)?.sequence_number ?? 0
    const { id } = created.response
    /* oxlint-disable eslint/no-await-in-loop -- one connection after the other */
    const rest = await client.responses.retrieve(id, { stream: true, starting_after: after })
    await collect(rest, events)
    /* oxlint-enable eslint/no-await-in-loop */
  }
  assert.deepEqual(events.map(({ sequence_number }) => sequence_number), events.map((_, i) => i))
  return events
}

export const finalOf = (events: ReadonlyArray<ResponseStreamEvent>): Response => {
  const last = events.at(-1)
  assert(last !== undefined && "response" in last)
  return last.response
}

/** What the client's own helper makes of a response, which accumulates all events. */
const accumulated = (client: OpenAI, id: string) =>
  Effect.promise(() => client.responses.stream({ response_id: id }).finalResponse())

export const lines = ({ output }: Pick<Response, "output">): ReadonlyArray<Line> =>
  output.flatMap((item): ReadonlyArray<Line> => {
    switch (item.type) {
      case "message":
        return item.content.flatMap((part) => part.type === "output_text" ? [{ kind: "text", value: part.text }] : [])
      case "reasoning":
        return (item.content ?? []).map(({ text }) => ({ kind: "reasoning", value: text }))
      case "mcp_call":
        return [
          { kind: "call", value: `${item.name} ${item.arguments}` },
          {
            kind: "result",
            value: typeof item.output === "string"
              ? completed(parsed(item.output))
              : item.status === "failed"
              ? "error"
              : ""
          }
        ]
      default:
        return []
    }
  })

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const kinds = ["text", "reasoning", "call", "result"] as const

/** The responses have what their conversation has. */
const whole = Effect.fnUntraced(
  function*({ address }: Server, responses: ReadonlyArray<Response>, which: ReadonlyArray<Line["kind"]> = kinds) {
    const taskId = responses[0]?.id.replace(/^resp_|_\d+$/g, "")
    const { body } = yield* Rest.get(`${address}/tasks/${taskId}`)
    yield* assertWhole(responses.flatMap(lines), address, body.conversationId, which)
  }
)

/** Cuts every connection after `k` events. */
const dropped = (cut: Proxy.Cut) =>
  Effect.fnUntraced(function*(server: Server) {
    for (const word of ["look", "stumble"]) {
      for (const k of [1, 2, 3, 5, 8, 13, 21, 34]) {
        const proxy = yield* Proxy.make(server.port, { cut, frames: () => k })
        const client = connect(proxy.address)
        const stream = yield* create(client, `${word} ${k}`)
        const events = yield* Effect.promise(() => follow(client, stream))
        assert.equal(proxy.requests().length, Math.ceil(events.length / k))
        yield* whole(server, [finalOf(events)])
        yield* whole(server, [yield* accumulated(connect(server.address), finalOf(events).id)])
      }
    }
  })

export const openai: Client = {
  name: "OpenAI Responses",
  npm: "openai",
  cases: {
    stream: Effect.fnUntraced(function*(server) {
      const client = connect(server.address)
      for (const word of ["tell", "look", "stumble"]) {
        const stream = yield* create(client, `${word} me`)
        const final = finalOf(yield* Effect.promise(() => follow(client, stream)))
        assert.equal(final.status, "completed")
        yield* whole(server, [final])
        const helped = yield* accumulated(client, final.id)
        assert.doesNotMatch(helped.output_text, /void/i)
        yield* whole(server, [helped])
        const retrieved = yield* Effect.promise(() => client.responses.retrieve(final.id))
        yield* whole(server, [retrieved])
        const waited = yield* Effect.promise(() => client.responses.create({ model, input: `${word} us` }))
        assert.equal(waited.status, "completed")
        yield* whole(server, [waited])
      }
    }),
    "dropped hard": dropped("hard"),
    "dropped orderly": dropped("orderly"),
    resume: Effect.fnUntraced(function*(server) {
      const client = connect(server.address)
      const { id, status } = yield* Effect.promise(() =>
        client.responses.create({ model, input: "wait for it", background: true })
      )
      assert(status === "queued" || status === "in_progress")
      const reader = yield* Effect.promise(() => client.responses.retrieve(id, { stream: true }))
      const events: Array<ResponseStreamEvent> = []
      yield* Effect.promise(async () => {
        for await (const event of reader) {
          events.push(event)
          if (event.type === "response.output_text.delta") break
        }
      })
      const { sequence_number } = events.at(-1) ?? { sequence_number: 0 }
      const rest = yield* Effect.promise(() =>
        client.responses.retrieve(id, { stream: true, starting_after: sequence_number })
      )
      yield* server.gate.open
      yield* Effect.promise(() => collect(rest, events))
      yield* whole(server, [finalOf(events)])
      // At the end of an ended response: an empty stream that ends.
      const after = events.at(-1)?.sequence_number ?? 0
      const nothing = yield* Effect.promise(() =>
        client.responses.retrieve(id, { stream: true, starting_after: after })
      )
      const none: Array<ResponseStreamEvent> = []
      yield* Effect.promise(() => collect(nothing, none))
      assert.deepEqual(none, [])
      const input = yield* Effect.promise(() => client.responses.inputItems.list(id))
      assert.match(JSON.stringify(input.data), /wait for it/)
      yield* Effect.promise(() => assert.rejects(client.responses.retrieve("resp_unknown_0"), { status: 404 }))
    }),
    cancel: Effect.fnUntraced(function*(server) {
      const client = connect(server.address)
      const stream = yield* create(client, "hold on")
      const events: Array<ResponseStreamEvent> = []
      const { id } = yield* Effect.promise(async () => {
        for await (const event of stream) {
          events.push(event)
          if (event.type === "response.output_text.delta" && event.delta === "on ") break
        }
        const [created] = events
        assert(created?.type === "response.created")
        return created.response
      })
      const again = yield* Effect.promise(() => client.responses.retrieve(id, { stream: true }))
      const cancelled = yield* Effect.promise(() => client.responses.cancel(id))
      assert.equal(cancelled.status, "cancelled")
      assert.equal((yield* Effect.promise(() => client.responses.cancel(id))).status, "cancelled")
      yield* whole(server, [cancelled])
      const final = finalOf(yield* Effect.promise(() => follow(client, again)))
      assert.equal(final.status, "cancelled")
      yield* whole(server, [final, yield* next(client, id)])
    }),
    approval: Effect.fnUntraced(function*(server) {
      for (const approve of [true, false]) {
        const client = connect(server.address)
        const stream = yield* create(client, "pay it")
        const first = finalOf(yield* Effect.promise(() => follow(client, stream)))
        assert.equal(first.status, "completed")
        const request = first.output.find((item) => item.type === "mcp_approval_request")
        assert(request !== undefined)
        assert.deepEqual([request.name, request.arguments], ["pay", "{\"cents\":5}"])
        const answer = yield* Effect.promise(() =>
          client.responses.create({
            model,
            previous_response_id: first.id,
            input: [{ type: "mcp_approval_response", approval_request_id: request.id, approve }],
            stream: true,
            background: true
          })
        )
        const second = finalOf(yield* Effect.promise(() => follow(client, answer)))
        assert.equal(second.previous_response_id, first.id)
        assert.notEqual(second.id, first.id)
        yield* whole(server, [first, second], approve ? kinds : ["text", "reasoning", "call"])
      }
    }),
    "provider error": Effect.fnUntraced(function*(server) {
      const client = connect(server.address)
      const stream = yield* create(client, "fail now")
      const failed = finalOf(yield* Effect.promise(() => follow(client, stream)))
      assert.equal(failed.status, "failed")
      assert.equal(failed.error?.message, "The model provider does not accept the key.")
      yield* whole(server, [failed, yield* next(client, failed.id)])
    }),
    "second turn": Effect.fnUntraced(function*(server) {
      const client = connect(server.address)
      const first = yield* Effect.promise(() => client.responses.create({ model, input: "look here" }))
      const second = yield* next(client, first.id)
      assert.equal(second.previous_response_id, first.id)
      yield* whole(server, [first, second])
      // A conversation that is busy: one answer, no repeats.
      const eager = new OpenAI({ apiKey: "none", baseURL: `${server.address}/v1`, maxRetries: 3 })
      const held = yield* Effect.promise(() =>
        client.responses.create({ model, input: "hold on", background: true, previous_response_id: second.id })
      )
      yield* Effect.promise(() =>
        assert.rejects(eager.responses.create({ model, input: "tell me", previous_response_id: held.id }), {
          status: 409,
          code: "conversation_busy"
        })
      )
      yield* Effect.promise(() => client.responses.cancel(held.id))
    })
  }
}

/** The next turn of a conversation. */
const next = (client: OpenAI, id: string) =>
  Effect.promise(() => client.responses.create({ model, input: "tell me", previous_response_id: id }))
