/**
 * Each store that a single process can have.
 */
import * as MemoryConversationStore from "@perennial/backends/MemoryConversationStore"
import * as MemoryTaskBackend from "@perennial/backends/MemoryTaskBackend"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import * as SqliteClient from "@perennial/backends/SqliteClient"
import * as SqlTaskBackend from "@perennial/backends/SqlTaskBackend"
import { Effect, Layer } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A directory that is removed at the end of the scope. */
export const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "perennial-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const memory = Layer.mergeAll(MemoryTaskBackend.layer, MemoryConversationStore.layer)

const sqlite = Layer.unwrap(
  Effect.map(directory, (path) =>
    Layer.mergeAll(SqlTaskBackend.layer, SqlConversationStore.layer).pipe(
      Layer.provide(SqliteClient.layer({ filename: join(path, "test.db") }))
    ))
)

export const stores = [["memory", memory], ["SQLite", sqlite]] as const
