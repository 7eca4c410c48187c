/**
 * A copy of the sources of examples/evergreen, which a test may change: the installed packages are those of the workspace.
 */
import { Effect, FileSystem } from "effect"
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, resolve } from "node:path"

const web = "examples/evergreen/web"

const copied = [
  "package.json",
  "pnpm-lock.yaml",
  "pnpm-workspace.yaml",
  "tsconfig.base.json",
  ...["domain", "http"].flatMap((name) => [`packages/${name}/package.json`, `packages/${name}/src`]),
  "examples/evergreen/src",
  ...["build.ts", "dev.ts", "dist", "index.html", "package.json", "public", "src", "tsconfig.json", "vite.config.ts"]
    .map(
      (name) => `${web}/${name}`
    )
]

export interface WebCopy {
  /** Where a file of the workspace is in the copy. */
  readonly path: (file: string) => string
  /** Changes a text that is in the file exactly once. */
  readonly change: (file: string, from: string, to: string) => void
}

/** In a folder that is removed when the scope closes. */
export const makeWebCopy = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const directory = yield* files.makeTempDirectoryScoped()
  const path = (file: string) => `${directory}/${file}`
  const link = (target: string, file: string) => {
    mkdirSync(dirname(path(file)), { recursive: true })
    symlinkSync(target, path(file))
  }
  return yield* Effect.sync((): WebCopy => {
    for (const file of copied) cpSync(file, path(file), { recursive: true })
    link(resolve("node_modules"), "node_modules")
    // Vite keeps what it has prepared in this folder, and so the folder is no link. It serves no file outside of the workspace.
    for (
      const name of readdirSync(`${web}/node_modules`).filter((name) => !name.startsWith(".") && name !== "@perennial")
    ) {
      link(resolve(`${web}/node_modules`, name), `${web}/node_modules/${name}`)
    }
    for (const name of ["domain", "http"]) link(path(`packages/${name}`), `${web}/node_modules/@perennial/${name}`)
    const change = (file: string, from: string, to: string) => {
      const parts = readFileSync(path(file), "utf8").split(from)
      if (parts.length !== 2) throw new Error(`${file} has "${from}" ${parts.length - 1} times`)
      writeFileSync(path(file), parts.join(to))
    }
    return { path, change }
  })
})
