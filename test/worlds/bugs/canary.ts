/** A realistic bug, as edits of source files. */
export interface Edit {
  /** Relative to the root of the repository. */
  readonly file: string
  /** Occurs exactly once in the file. */
  readonly find: string
  readonly replace: string
}

export interface Canary {
  readonly name: string
  readonly edits: ReadonlyArray<Edit>
}

export const domain = "packages/domain/src/"
export const runtime = "packages/runtime/src/"
export const http = "packages/http/src/"

export const memoryBackend = `${domain}MemoryTaskBackend.ts`
export const memoryTasks = `${domain}internal/memoryTasks.ts`
export const memoryConversations = `${domain}MemoryConversationStore.ts`

/** A bug of one edit. */
export const canary = (name: string, file: string, find: string, replace: string): Canary => ({
  name,
  edits: [{ file, find, replace }]
})
