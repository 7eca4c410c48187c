/** The events of a task and of its child tasks on the wire, and their readers. */
import { assert, describe, it } from "@effect/vitest"
import { Agents } from "@perennial/domain/Agent"
import { placeOf } from "@perennial/domain/EventPlace"
import { childTaskId } from "@perennial/domain/Ids"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as Client from "@perennial/http/Client"
import { type ScriptedModel, TaskRuntime } from "@perennial/runtime"
import { Context, Effect, Layer, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { ask, makeResearcher, makeWriter } from "../../../test/support/delegating.ts"
import { makeCuttingProxy } from "./cuttingProxy.ts"
import { serve } from "./nodeServer.ts"
import { body, layerTokens } from "./support.ts"

const turns: ReadonlyArray<ScriptedModel.Turn> = [[ask("oak")], [ask("elm")], ["written"]]

/** A server, and a task that has ended with two child tasks. */
const makeFamily = Effect.gen(function*() {
  const researcher = yield* makeResearcher
  yield* researcher.release.open
  const agents = Agents.layer([yield* makeWriter(turns), researcher.agent])
  const context = yield* Layer.build(Layer.provide(TaskRuntime.layerMemory, agents))
  const manager = Context.get(context, TaskManager)
  const { id } = yield* manager.start({ message: "Write." })
  const { task } = yield* manager.await(id)
  return { id, layer: Layer.succeedContext(context), manager, task }
})

const managerAt = (port: number) =>
  Layer.build(
    Client.layerTaskManager({ baseUrl: `http://127.0.0.1:${port}` }).pipe(Layer.provide(FetchHttpClient.layer))
  ).pipe(Effect.map(Context.get(TaskManager)))

describe("GET /tasks/{id}/tree/events", () => {
  it.live("P3: a remote reader gets every event once, in order, wherever its connections are cut", () =>
    Effect.gen(function*() {
      const { id, layer, manager, task } = yield* makeFamily
      const { port } = yield* serve(layer)
      const proxy = yield* makeCuttingProxy(port, (n) => [1_100, 1_700, 1_350][n % 3] ?? 0)
      const all = yield* Stream.runCollect(Stream.map(yield* manager.treeEvents(id), placeOf))
      const remote = yield* managerAt(proxy.port)
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.map(yield* remote.treeEvents(id), placeOf)), all)
      assert.isAbove(proxy.connections(), 3)
      const direct = yield* managerAt(port)
      const middle = all.findIndex(({ taskId }) => taskId === childTaskId(id, 2))
      const rest = yield* direct.treeEvents(id, { after: all[middle] })
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.map(rest, placeOf)), all.slice(middle + 1))
      const end = yield* direct.treeEvents(id, { after: { taskId: id, seq: task.lastSeq } })
      assert.deepStrictEqual(yield* Stream.runCollect(end), [])
      assert.strictEqual(
        (yield* Effect.flip(direct.treeEvents(id, { after: { taskId: id, seq: 99 } })))._tag,
        "CursorAhead"
      )
      assert.deepStrictEqual((yield* direct.list({ parent: id })).map((child) => child.id), [
        childTaskId(id, 2),
        childTaskId(id, 1)
      ])
    }))

  it.live("frames have places as their ids; the end is 204; P12: for others there is none", () =>
    Effect.gen(function*() {
      const { id, layer, task } = yield* makeFamily
      const { port } = yield* serve(layer)
      const call = (path: string, init?: RequestInit) =>
        Effect.promise(() => fetch(`http://127.0.0.1:${port}${path}`, init))
      const frames = yield* body(yield* call(`/tasks/${id}/tree/events`))
      assert.include(frames, `id: ${id}/1\n`)
      assert.include(frames, `id: ${id}.001/1\n`)
      const end = yield* call(`/tasks/${id}/tree/events?after=${id}/${task.lastSeq}`)
      assert.strictEqual(end.status, 204)
      assert.strictEqual((yield* call(`/tasks/${id}/tree/events?after=7`)).status, 400)
      const guarded = yield* serve(layer, {}, layerTokens)
      const path = `http://127.0.0.1:${guarded.port}/tasks/${id}/tree/events`
      const as = (user: string) =>
        Effect.promise(() => fetch(path, { headers: { authorization: `Bearer ${user}-secret` } }))
      assert.strictEqual((yield* as("bob")).status, 404)
      assert.strictEqual((yield* Effect.promise(() => fetch(path))).status, 401)
    }))
})
