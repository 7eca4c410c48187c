/**
 * A server process that sends webhooks. Its store is the URL of `STORE`, or the database file of `FILE`. It tells the receiver of
 * `RECEIVER`, and signs with `SECRET`. A message belongs to a process for eight seconds.
 */
import { NodeRuntime } from "@effect/platform-node"
import * as SqliteStore from "@perennial/backends/SqliteStore"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { WebhookStore } from "@perennial/domain/WebhookStore"
import * as NodeWebhookClient from "@perennial/http/NodeWebhookClient"
import * as Webhooks from "@perennial/http/Webhooks"
import { Console, Effect, Layer, Redacted } from "effect"
import * as Storage from "./storage.ts"
import * as Talker from "./talker.ts"

const shared = process.env["STORE"]

const sending = Webhooks.layer({
  lease: "8 seconds",
  interval: "50 millis",
  webhooks: [{
    name: "receiver",
    url: process.env["RECEIVER"] ?? "",
    secrets: [Redacted.make(process.env["SECRET"] ?? "")]
  }]
}).pipe(Layer.provide(NodeWebhookClient.layer({ allowPrivate: true, timeout: "7 seconds" })))

const run = <E>(store: Layer.Layer<TaskBackend | ConversationStore | WebhookStore, E>): void =>
  Layer.effectDiscard(Effect.flatMap(Talker.address, Console.log)).pipe(
    Layer.provide(Talker.layer(Talker.makeTalker().agent, store)),
    Layer.merge(Layer.provide(sending, store)),
    Layer.launch,
    NodeRuntime.runMain
  )

// The same layer for the server and for the sender: it is built once.
if (shared === undefined) run(SqliteStore.layer({ filename: process.env["FILE"] ?? ":memory:" }))
else run(Storage.layer(shared))
