import * as SqliteClient from "@perennial/backends/SqliteClient"
import { Effect, Layer } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A directory that is removed at the end of the scope. */
export const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "perennial-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
)

/** A client of a new, empty database each time it is built. */
export const layerEmpty = Layer.unwrap(
  Effect.map(directory, (directory) => SqliteClient.layer({ filename: join(directory, "test.db") }))
)
