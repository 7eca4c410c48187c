/** The answer of an endpoint that starts a task. */
import type { Task } from "@perennial/domain/Task"
import { Effect } from "effect"
import { HttpApiSchema } from "effect/http-api"
import { LinkBase } from "./linkBase.ts"

/** The header that names a task that was started. */
export const makeLocation = Effect.map(LinkBase, (base) => (task: Task) => ({
  location: `${base}/tasks/${encodeURIComponent(task.id)}`
}))

export const started = (location: (task: Task) => { readonly location: string }) => (task: Task) =>
  HttpApiSchema.withHeaders({ body: task, headers: location(task) })
