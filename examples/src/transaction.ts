/**
 * A task in a transaction of the application: the order and the task that confirms it are stored together, or not at all.
 *
 *     DATABASE_URL=postgres://... npx -y pnpm@12.21.0 exec node examples/src/transaction.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import * as PgStore from "@perennial/backends/PgStore"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Config, Console, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"

const agent = LlmAgent.layer({
  agentId: "shop",
  systemPrompt: "You confirm orders.",
  model: ScriptedModel.layer({ otherwise: () => ["Your order is confirmed."] })
})

// The store and the application share one client: a start inside a transaction of this client joins the transaction.
const live = TaskRuntime.layer.pipe(
  Layer.provide([agent, PgStore.layerNoClient]),
  Layer.provideMerge(PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") }))
)

const program = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const tasks = yield* TaskManager
  yield* sql`CREATE TABLE IF NOT EXISTS orders (customer text NOT NULL)`

  const order = (customer: string) =>
    Effect.andThen(
      sql`INSERT INTO orders ${sql.insert({ customer })}`,
      tasks.start({ conversationId: customer, message: "Confirm my order." })
    )
  const report = Effect.gen(function*() {
    const orders = yield* sql`SELECT customer FROM orders`
    yield* Console.log(`orders: ${orders.length}, tasks: ${(yield* tasks.list()).length}`)
  })

  yield* order("alice").pipe(Effect.andThen(Effect.fail("out of stock")), sql.withTransaction, Effect.ignore)
  yield* report
  const { id } = yield* sql.withTransaction(order("bob"))
  yield* report
  const { message } = yield* tasks.await(id)
  yield* Console.log(message?.content)
})

NodeRuntime.runMain(Effect.provide(program, live))
