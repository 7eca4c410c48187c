/**
 * An application outside of the workspace. It installs the packed packages with npm.
 */
import { execFile } from "node:child_process"
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { promisify } from "node:util"

export const workspace = new URL("../..", import.meta.url).pathname

const catalog = readFileSync(join(workspace, "pnpm-workspace.yaml"), "utf8")

/** The version of a dependency in the workspace. */
const versionOf = (name: string): string => {
  const version = new RegExp(`^ {2}"?${name}"?: (\\S+)$`, "m").exec(catalog)?.[1]
  if (version === undefined) throw new Error(`pnpm-workspace.yaml has no ${name}.`)
  return version
}

const exec = promisify(execFile)

/** Executes a program. The error of a failure has the whole output of the program. */
export const run = async (
  file: string,
  args: ReadonlyArray<string>,
  options: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv }
): Promise<string> => {
  try {
    return (await exec(file, args, { maxBuffer: 16_000_000, ...options })).stdout
  } catch (cause) {
    // The error of `execFile` has the output of the program, if the program was started.
    const { stderr = "", stdout = "" } = cause as { stderr?: string; stdout?: string }
    throw new Error(`${basename(file)} ${args.join(" ")} failed:\n${stdout}${stderr}`, { cause })
  }
}

const manifestOf = (directory: string): { readonly [field: string]: unknown } =>
  JSON.parse(readFileSync(join(directory, "package.json"), "utf8"))

/** The packages of the workspace that are published. */
export const packages = globSync("packages/*", { cwd: workspace }).toSorted().map((path) => ({
  name: `@perennial/${basename(path)}`,
  directory: join(workspace, path),
  manifest: manifestOf(join(workspace, path))
}))

/** The names by which an application imports the public modules of all packages. */
export const modules = packages.flatMap(({ directory, name }) => [
  name,
  ...globSync("src/*.ts", { cwd: directory }).toSorted()
    .map((file) => basename(file, ".ts"))
    .filter((module) => module !== "index")
    .map((module) => `${name}/${module}`)
])

/** The arguments of `npx` that run the pnpm version of the workspace, as in the README. */
export const pnpm = ["-y", String(manifestOf(workspace)["packageManager"])] as const

const npmInstall = (cwd: string, specifications: ReadonlyArray<string>) =>
  run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", ...specifications], { cwd })

/** The optional peers of the packages, and their own peers. */
const peers = [
  "@ai-sdk/provider",
  "@anthropic-ai/sdk",
  "@effect/platform-node",
  "@effect/sql-pg",
  "@effect/vitest",
  "jose",
  "redis",
  "request-filtering-agent",
  "vitest"
]

/** The versions of TypeScript that check the packages. */
export const compilers = ["5.9.3", "7.0.2"] as const

/** Further versions of Node.js, by the name of their folder. */
const nodes = { node22: "node@22.23.3", node20: "node@20.20.2" } as const

/** How a program has ended. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A temporary folder with an application. It is removed on disposal. */
export class Application implements Disposable {
  readonly #root = mkdtempSync(join(tmpdir(), "perennial-packages-"))
  readonly directory = join(this.#root, "application")
  readonly #nodes = join(this.#root, "nodes")
  readonly tarballs = join(this.#root, "tarballs")

  constructor() {
    for (const directory of [this.directory, this.#nodes, this.tarballs]) mkdirSync(directory)
    this.write("package.json", JSON.stringify({ name: "application", private: true, type: "module" }))
    writeFileSync(join(this.#nodes, "package.json"), JSON.stringify({ private: true }))
  }

  write(name: string, content: string): void {
    writeFileSync(join(this.directory, name), content)
  }

  /** Packs the built packages. */
  async pack(): Promise<void> {
    await Promise.all(
      packages.map(({ directory }) =>
        run("npx", [...pnpm, "pack", "--pack-destination", this.tarballs], { cwd: directory })
      )
    )
  }

  /** Installs the packages and `effect`. */
  install(): Promise<string> {
    return npmInstall(this.directory, [
      ...globSync("*.tgz", { cwd: this.tarballs }).map((tarball) => join(this.tarballs, tarball)),
      `effect@${versionOf("effect")}`
    ])
  }

  /** Installs the optional peers and the compilers. */
  installPeers(): Promise<string> {
    return npmInstall(this.directory, [
      ...peers.map((name) => `${name}@${versionOf(name)}`),
      `@types/node@${versionOf("@types/node")}`,
      // The declarations of @ai-sdk/provider need it, and its manifest does not name it.
      "@types/json-schema@7",
      ...compilers.map((version) => `typescript-${version}@npm:typescript@${version}`)
    ])
  }

  installNodes(): Promise<string> {
    return npmInstall(this.#nodes, Object.entries(nodes).map(([name, version]) => `${name}@npm:${version}`))
  }

  /** The directory with the program `node` of a version. */
  nodeOf(name: keyof typeof nodes): string {
    return join(this.#nodes, "node_modules", name, "bin")
  }

  node(directory: string, file: string): Promise<string> {
    const warnings = "--disable-warning=ExperimentalWarning"
    return run(join(directory, "node"), [warnings, file], { cwd: this.directory })
  }

  /** Runs the program `perennial` with npx, as a user does. */
  async perennial(...args: ReadonlyArray<string>): Promise<Ended> {
    try {
      const { stderr, stdout } = await exec("npx", ["--no-install", "perennial", ...args], { cwd: this.directory })
      return { code: 0, stdout, stderr }
    } catch (error) {
      // The error of `execFile` has the exit code and the output of the program, if the program was started.
      const { code, stderr = "", stdout = "" } = error as Partial<Ended>
      if (code === undefined) throw error
      return { code, stdout, stderr }
    }
  }

  /** Type-checks with a configuration. Fails with the output of the compiler. */
  typeCheck(compiler: typeof compilers[number], project: string): Promise<string> {
    const tsc = join(this.directory, "node_modules", `typescript-${compiler}`, "bin", "tsc")
    return run(process.execPath, [tsc, "-p", project], { cwd: this.directory })
  }

  [Symbol.dispose](): void {
    rmSync(this.#root, { recursive: true, force: true })
  }
}
