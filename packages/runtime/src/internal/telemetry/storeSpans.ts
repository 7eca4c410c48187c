/** Stores without spans: there would be one for each statement, also for those of the sweep and of the lease. */
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import { Effect } from "effect"
import { tracerOf } from "./spans.ts"

/** The effect makes no spans. */
export const silent = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => tracerOf(fiber) === undefined ? self : Effect.withTracerEnabled(self, false))

export const silentStore = (store: ConversationStore["Service"]): ConversationStore["Service"] => ({
  create: (key) => silent(store.create(key)),
  get: (key) => silent(store.get(key)),
  list: (options) => silent(store.list(options)),
  messages: (key, options) => silent(store.messages(key, options)),
  replaced: (key, options) => silent(store.replaced(key, options)),
  append: (id, messages, options) => silent(store.append(id, messages, options)),
  setTitle: (id, title, options) => silent(store.setTitle(id, title, options)),
  delete: (key, options) => silent(store.delete(key, options))
})
