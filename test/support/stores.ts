/**
 * The stores for a single process: memory and SQLite.
 */
import * as MemoryStore from "@perennial/backends/MemoryStore"
import * as SqliteStore from "@perennial/backends/SqliteStore"
import { Effect, Layer } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A directory that is removed at the end of the scope. */
export const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "perennial-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const sqlite = Layer.unwrap(
  Effect.map(directory, (path) => SqliteStore.layer({ filename: join(path, "test.db") }))
)

export const stores = [["memory", MemoryStore.layer], ["SQLite", sqlite]] as const
