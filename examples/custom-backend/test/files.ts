/**
 * The stores of the example, over files of a test.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer } from "effect"
import * as FileConversationStore from "../src/FileConversationStore.ts"
import * as FileTaskBackend from "../src/FileTaskBackend.ts"

/** A directory that is removed at the end of the scope. */
export const directory = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())

/** The layer over a new file each time it is built. */
export const overEmpty = <A, E, R>(layer: (file: string) => Layer.Layer<A, E, R>) =>
  Layer.unwrap(Effect.map(directory, (directory) => layer(`${directory}/data/journal.jsonl`))).pipe(
    Layer.provide(NodeServices.layer)
  )

/** Both stores over the files of a directory. */
export const files = (directory: string) =>
  Layer.mergeAll(
    FileTaskBackend.layer(`${directory}/tasks.jsonl`),
    FileConversationStore.layer(`${directory}/conversations.jsonl`)
  )
