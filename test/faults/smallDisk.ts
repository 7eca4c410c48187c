/**
 * A disk that can be full for a while: a tmpfs, whose size changes while it is mounted. Only root can mount it.
 */
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, statfsSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface SmallDisk {
  readonly directory: string
  /** Leaves no room for one more page. */
  readonly fill: Effect.Effect<void>
  readonly enlarge: Effect.Effect<void>
}

const roomBytes = 8 * 2 ** 30

const execute = (command: string, ...args: ReadonlyArray<string>): boolean => spawnSync(command, args).status === 0

const mount = (): string | undefined => {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return undefined
  const directory = mkdtempSync(join(tmpdir(), "perennial-disk-"))
  if (execute("mount", "-t", "tmpfs", "-o", `size=${roomBytes},mode=0700`, "tmpfs", directory)) return directory
  rmSync(directory, { recursive: true })
  return undefined
}

const unmount = (directory: string): void => {
  if (execute("umount", directory)) rmSync(directory, { recursive: true })
}

const resize = (directory: string, bytes: number): boolean => execute("mount", "-o", `remount,size=${bytes}`, directory)

/** More may be written between a look at what is used and the new size. */
const tries = 100

const fill = (directory: string): void => {
  for (let i = 0; i < tries; i++) {
    const { bfree, blocks, bsize } = statfsSync(directory)
    if (resize(directory, (blocks - bfree) * bsize)) return
  }
  throw new Error(`${directory} cannot be made full`)
}

/** A disk that belongs to this user, until the end of the scope. Undefined where no disk can be mounted. */
export const make = Effect.fnUntraced(function*(user: string) {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(mount),
    (directory) => Effect.sync(() => directory === undefined ? undefined : unmount(directory))
  )
  if (directory === undefined) return undefined
  execute("chown", user, directory)
  const disk: SmallDisk = {
    directory,
    fill: Effect.sync(() => fill(directory)),
    enlarge: Effect.sync(() => void resize(directory, roomBytes))
  }
  return disk
})
