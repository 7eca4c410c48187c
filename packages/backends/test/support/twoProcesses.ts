/** Two processes on one store, each with its own connections to it. */
import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { it } from "@effect/vitest"
import * as PgTaskBackend from "@perennial/backends/PgTaskBackend"
import * as RedisTaskBackend from "@perennial/backends/RedisTaskBackend"
import { type Agent, Agents } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import * as MemoryConversationStore from "@perennial/domain/MemoryConversationStore"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Effect, Layer, Logger, type Scope } from "effect"
import { randomUUID } from "node:crypto"
import { makeSchema, withPostgres } from "./postgres.ts"
import { withRedis } from "./redis.ts"

type Manager = TaskManager["Service"]

/** Defines a test on PostgreSQL and one on Redis. Both processes execute tasks of the agent. */
export const onTwoProcesses = <E>(options: {
  readonly of: string
  readonly name: string
  readonly agent: Agent
  readonly test: (a: Manager, b: Manager) => Effect.Effect<void, E, Scope.Scope>
}): void => {
  const run = Effect.fnUntraced(function*<E2>(backend: Layer.Layer<TaskBackend, E2>) {
    const store = Context.get(yield* Layer.build(MemoryConversationStore.layer), ConversationStore)
    const process = Effect.map(
      Layer.build(Layer.fresh(TaskRuntime.layer.pipe(
        Layer.provide([Layer.fresh(backend), Layer.succeed(ConversationStore, store), Agents.layer([options.agent])])
      ))),
      Context.get(TaskManager)
    )
    yield* options.test(yield* process, yield* process)
  }, Effect.scoped)

  withPostgres(`${options.of} on PostgreSQL`, (url) => {
    it.live(options.name, () =>
      Effect.flatMap(
        makeSchema(url),
        (schema) => run(PgTaskBackend.layer.pipe(Layer.provide(PgClient.layer(schema))))
      ).pipe(Effect.scoped))
  })

  withRedis(`${options.of} on Redis`, (url) => {
    it.live(options.name, () =>
      run(
        RedisTaskBackend.layerWith({ prefix: `perennial-test:${randomUUID()}:` }).pipe(
          Layer.provide(NodeRedis.layer({ url })),
          Layer.provide(Logger.layer([]))
        )
      ))
  })
}
