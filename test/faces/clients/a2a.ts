/** The client of A2A's SDK, by JSON-RPC and by HTTP+JSON. It does not reconnect: after a cut a program subscribes again. */
import { SendMessageRequest, type StreamResponse, type Task, TaskState } from "@a2a-js/sdk"
import {
  type Client as SdkClient,
  ClientFactory,
  ClientFactoryOptions,
  DefaultAgentCardResolver
} from "@a2a-js/sdk/client"
import { TaskNotCancelableError, TaskNotFoundError, UnsupportedOperationError } from "@a2a-js/sdk/errors"
import { Effect, Fiber } from "effect"
import assert from "node:assert/strict"
import type { Client, Server } from "../client.ts"
import * as Proxy from "../proxy.ts"
import { assertWhole, type Line } from "../shown.ts"
import { apply, hasEnded, lines, messagesOf, textOf } from "./a2aTask.ts"

export const bindings = ["JSONRPC", "HTTP+JSON"] as const

export type Binding = typeof bindings[number]

/** The client for the card of a server, through an address in front of the server. */
export const connect = (server: string, binding: Binding, address = server) =>
  Effect.promise(async () => {
    const card = await new DefaultAgentCardResolver().resolve(server)
    assert.deepEqual(card.supportedInterfaces.map(({ protocolVersion }) => protocolVersion), ["1.0", "1.0"])
    const supportedInterfaces = card.supportedInterfaces.map((place) => ({
      ...place,
      url: place.url.replace(/^http:\/\/[^/]+/, address)
    }))
    const options = ClientFactoryOptions.createFrom(ClientFactoryOptions.default, { preferredTransports: [binding] })
    return await new ClientFactory(options).createFromAgentCard({ ...card, supportedInterfaces })
  })

interface To {
  readonly contextId?: string
  readonly taskId?: string
}

export const message = (parts: ReadonlyArray<object>, to: To = {}): SendMessageRequest =>
  SendMessageRequest.fromJSON({ message: { messageId: crypto.randomUUID(), role: "ROLE_USER", parts, ...to } })

export const say = (text: string, to: To = {}): SendMessageRequest => message([{ text }], to)

type Watcher = (task: Task) => void

/** One connection, up to its end or its cut. */
const collect = async (
  stream: AsyncIterable<StreamResponse>,
  before: Task | undefined,
  seen?: Watcher
): Promise<Task> => {
  let task = before
  try {
    for await (const element of stream) {
      task = apply(task, element)
      seen?.(task)
    }
  } catch (error) {
    if (error instanceof UnsupportedOperationError || !/terminated|fetch failed/.test(String(error))) throw error
  }
  assert(task !== undefined)
  return task
}

const isOver = (task: Task): boolean => hasEnded(task) || task.status?.state === TaskState.TASK_STATE_INPUT_REQUIRED

interface Followed {
  readonly task: Task
  /** How often the client was called. */
  readonly calls: number
}

/** The whole of a task, over as many connections as it takes. */
export const follow = async (
  client: SdkClient,
  stream: AsyncIterable<StreamResponse>,
  seen?: Watcher
): Promise<Followed> => {
  let task = await collect(stream, undefined, seen)
  let calls = 1
  while (!isOver(task)) {
    calls++
    const { id } = task
    /* oxlint-disable eslint/no-await-in-loop -- one connection after the other */
    try {
      task = await collect(client.resubscribeTask({ tenant: "", id }), task, seen)
    } catch (error) {
      // It has ended since.
      assert(error instanceof UnsupportedOperationError)
      calls++
      task = await client.getTask({ tenant: "", id })
    }
    /* oxlint-enable eslint/no-await-in-loop */
  }
  return { task, calls }
}

export const stream = (client: SdkClient, request: SendMessageRequest, seen?: Watcher): Effect.Effect<Task> =>
  Effect.promise(async () => (await follow(client, client.sendMessageStream(request), seen)).task)

/** Begins to read a task through an address, and returns when the client has some of its text. */
export const begin: (address: string, binding: Binding) => Effect.Effect<Fiber.Fiber<Task>> = Effect.fnUntraced(
  function*(
    address,
    binding
  ) {
    const client = yield* connect(address, binding, address)
    const begun = Promise.withResolvers<void>()
    const fiber = yield* Effect.forkChild(stream(client, say("tell me"), ({ artifacts }) => {
      if (artifacts.length > 0) begun.resolve()
    }))
    yield* Effect.promise(() => begun.promise)
    return fiber
  }
)

const wait = (client: SdkClient, request: SendMessageRequest): Effect.Effect<Task> =>
  Effect.promise(async () => {
    const result = await client.sendMessage(request)
    assert("artifacts" in result)
    return result
  })

const get = (client: SdkClient, { id }: Task) => Effect.promise(() => client.getTask({ tenant: "", id }))

/** The tasks have what their conversation has. */
export const whole = (
  { address }: Pick<Server, "address">,
  tasks: ReadonlyArray<Task>,
  kinds?: ReadonlyArray<Line["kind"]>
): Effect.Effect<void> => assertWhole(tasks.flatMap(lines), address, tasks[0]?.contextId ?? "", kinds)

const is = (task: Task, state: TaskState): void => assert.equal(TaskState[task.status?.state ?? -1], TaskState[state])

const completed = (task: Task): void => is(task, TaskState.TASK_STATE_COMPLETED)

/** Cuts every connection after `k` elements. */
const dropped = (binding: Binding, cut: Proxy.Cut) =>
  Effect.fnUntraced(function*(server: Server) {
    for (const word of ["look", "stumble"]) {
      for (const k of [1, 2, 3, 5, 8, 13, 21, 34]) {
        const proxy = yield* Proxy.make(server.port, { cut, frames: () => k })
        const client = yield* connect(server.address, binding, proxy.address)
        const request = say(`${word} ${k}`)
        const { calls, task } = yield* Effect.promise(() => follow(client, client.sendMessageStream(request)))
        completed(task)
        // The client sends no request by itself.
        assert.equal(proxy.requests().length, calls)
        yield* whole(server, [task])
        yield* whole(server, [yield* get(client, task)])
      }
      // Everything after the first connection was cut comes with one subscription.
      const proxy = yield* Proxy.make(server.port, { cut, frames: (stream) => stream === 0 ? 2 : Infinity })
      const client = yield* connect(server.address, binding, proxy.address)
      const { calls, task } = yield* Effect.promise(() => follow(client, client.sendMessageStream(say(`${word} once`))))
      assert(calls <= 3)
      yield* whole(server, [task])
    }
  })

const question = ({ status }: Task): string => textOf(status?.message?.parts ?? [])

export const makeClient = (binding: Binding, name: string): Client => ({
  name,
  npm: "@a2a-js/sdk",
  cases: {
    stream: Effect.fnUntraced(function*(server) {
      const client = yield* connect(server.address, binding)
      assert.equal(client.protocolVersion, "1.0")
      for (const word of ["tell", "look", "stumble"]) {
        const streamed = yield* stream(client, say(`${word} me`))
        completed(streamed)
        yield* whole(server, [streamed])
        const retrieved = yield* get(client, streamed)
        assert.deepEqual(lines(retrieved), lines(streamed))
        const waited = yield* wait(client, say(`${word} us`))
        completed(waited)
        yield* whole(server, [waited])
      }
    }),
    "dropped hard": dropped(binding, "hard"),
    "dropped orderly": dropped(binding, "orderly"),
    resume: Effect.fnUntraced(function*(server) {
      const client = yield* connect(server.address, binding)
      const begun = Promise.withResolvers<Task>()
      const request = say("wait for it")
      const first = yield* Effect.forkChild(stream(client, request, (task) => {
        if (task.artifacts.length > 0) begun.resolve(task)
      }))
      const { contextId, id } = yield* Effect.promise(() => begun.promise)
      // Another page subscribes: the snapshot has what was said.
      const seen = Promise.withResolvers<Task>()
      const second = yield* Effect.forkChild(
        Effect.promise(() => follow(client, client.resubscribeTask({ tenant: "", id }), seen.resolve))
      )
      const snapshot = yield* Effect.promise(() => seen.promise)
      assert.equal(textOf(snapshot.artifacts[0]?.parts ?? []), "I begin ")
      is(yield* get(client, snapshot), TaskState.TASK_STATE_WORKING)
      const listed = yield* Effect.promise(() => client.listTasks(listing({ contextId, status: 2 })))
      assert.deepEqual([listed.tasks.map((task) => task.id), listed.totalSize], [[id], 1])
      yield* server.gate.open
      for (const task of [yield* Fiber.join(first), (yield* Fiber.join(second)).task]) {
        completed(task)
        yield* whole(server, [task])
      }
      // The same message again is the same task.
      const again = yield* stream(client, request)
      assert.equal(again.id, id)
      yield* whole(server, [again])
      yield* Effect.promise(() =>
        assert.rejects(
          async () => await follow(client, client.resubscribeTask({ tenant: "", id })),
          UnsupportedOperationError
        )
      )
      yield* Effect.promise(() => assert.rejects(client.getTask({ tenant: "", id: "unknown" }), TaskNotFoundError))
    }),
    cancel: Effect.fnUntraced(function*(server) {
      const client = yield* connect(server.address, binding)
      const begun = Promise.withResolvers<Task>()
      const running = yield* Effect.forkChild(stream(client, say("hold on"), (task) => {
        if (textOf(task.artifacts[0]?.parts ?? []) === "I hold on ") begun.resolve(task)
      }))
      const { contextId, id } = yield* Effect.promise(() => begun.promise)
      const cancelled = yield* Effect.promise(() => client.cancelTask({ tenant: "", id, metadata: {} }))
      is(cancelled, TaskState.TASK_STATE_CANCELED)
      is(
        yield* Effect.promise(() => client.cancelTask({ tenant: "", id, metadata: {} })),
        TaskState.TASK_STATE_CANCELED
      )
      const streamed = yield* Fiber.join(running)
      is(streamed, TaskState.TASK_STATE_CANCELED)
      yield* whole(server, [streamed])
      const next = yield* stream(client, say("tell me", { contextId }))
      for (const first of [streamed, cancelled]) yield* whole(server, [first, next])
      yield* Effect.promise(() =>
        assert.rejects(client.cancelTask({ tenant: "", id: next.id, metadata: {} }), TaskNotCancelableError)
      )
    }),
    approval: Effect.fnUntraced(function*(server) {
      const client = yield* connect(server.address, binding)
      const kinds = ["user", "text", "reasoning", "call"] as const
      const answers = [
        { parts: [{ text: "yes" }], approved: true },
        { parts: [{ text: "No, too expensive" }], approved: false },
        { parts: [{ data: { approved: true, args: { cents: 3 } } }], approved: true },
        { parts: [{ data: { approved: false, reason: "No." } }], approved: false }
      ]
      for (const { approved, parts } of answers) {
        for (const send of [stream, wait]) {
          const asked = yield* send(client, say("pay it"))
          is(asked, TaskState.TASK_STATE_INPUT_REQUIRED)
          assert.equal(question(asked), "May the tool \"pay\" be called with {\"cents\":5}?")
          const { history, status } = yield* get(client, asked)
          assert.deepEqual([status, history], [asked.status, asked.history])
          const { id: taskId } = asked
          yield* Effect.promise(() =>
            assert.rejects(client.sendMessage(say("perhaps", { taskId })), /Answer with "yes" or "no"/)
          )
          const answered = yield* send(client, message(parts, { taskId }))
          completed(answered)
          assert.equal(answered.id, taskId)
          yield* whole(server, [answered], approved ? [...kinds, "result"] : kinds)
          yield* whole(server, [yield* get(client, answered)], approved ? [...kinds, "result"] : kinds)
          const decisions = messagesOf(yield* get(client, answered)).flatMap(({ parts }) =>
            parts.flatMap(({ content, metadata }) =>
              metadata?.["kind"] === "decision" && content?.$case === "data" ? [content.value.approved] : []
            )
          )
          assert.deepEqual(decisions, [approved])
        }
      }
    }),
    "provider error": Effect.fnUntraced(function*(server) {
      const client = yield* connect(server.address, binding)
      const failed = yield* stream(client, say("fail now"))
      is(failed, TaskState.TASK_STATE_FAILED)
      assert.equal(question(failed), "The model provider does not accept the key.")
      yield* whole(server, [failed])
      const next = yield* stream(client, say("tell me", { contextId: failed.contextId }))
      yield* whole(server, [failed, next])
    }),
    "second turn": Effect.fnUntraced(function*(server) {
      const client = yield* connect(server.address, binding)
      const first = yield* stream(client, say("look here"))
      const { contextId } = first
      const second = yield* wait(client, say("tell me", { contextId }))
      yield* whole(server, [first, second])
      // Pages of the conversation's tasks, newest first.
      const page = yield* Effect.promise(() =>
        client.listTasks(listing({ contextId, pageSize: 1, includeArtifacts: true, historyLength: 10 }))
      )
      assert.deepEqual(page.tasks.map(lines), [lines(second)])
      assert.equal(page.totalSize, 2)
      const rest = yield* Effect.promise(() =>
        client.listTasks(listing({ contextId, pageSize: 1, pageToken: page.nextPageToken }))
      )
      assert.deepEqual([rest.tasks.map(({ id }) => id), rest.nextPageToken], [[first.id], ""])
      assert.deepEqual(rest.tasks[0]?.artifacts, [])
      const short = yield* Effect.promise(() => client.getTask({ tenant: "", id: first.id, historyLength: 0 }))
      assert.deepEqual(short.history, [])
    })
  }
})

const listing = (options: Partial<Parameters<SdkClient["listTasks"]>[0]>) => ({
  tenant: "",
  contextId: "",
  status: TaskState.TASK_STATE_UNSPECIFIED,
  pageToken: "",
  statusTimestampAfter: undefined,
  ...options
})

export const a2aJsonRpc = makeClient("JSONRPC", "A2A, JSON-RPC")
export const a2aHttpJson = makeClient("HTTP+JSON", "A2A, HTTP+JSON")
