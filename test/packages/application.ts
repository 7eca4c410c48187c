/**
 * An application outside of the workspace: the packages as they are published, installed with plain npm.
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

/** Executes a program. A failure has the program's whole output as its message. */
export const run = async (
  file: string,
  args: ReadonlyArray<string>,
  options: { readonly cwd: string; readonly env?: NodeJS.ProcessEnv }
): Promise<string> => {
  try {
    return (await exec(file, args, { maxBuffer: 16_000_000, ...options })).stdout
  } catch (cause) {
    // `execFile` fails with an error that has the outputs of the program, if the program was started.
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

/** The public modules of all packages, as an application imports them. */
export const modules = packages.flatMap(({ directory, name }) => [
  name,
  ...globSync("src/*.ts", { cwd: directory }).toSorted()
    .map((file) => basename(file, ".ts"))
    .filter((module) => module !== "index")
    .map((module) => `${name}/${module}`)
])

/** The pnpm of the workspace, as the README starts it. */
export const pnpm = ["-y", String(manifestOf(workspace)["packageManager"])] as const

const npmInstall = (cwd: string, specifications: ReadonlyArray<string>) =>
  run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", ...specifications], { cwd })

/** The optional peers of the packages, and their own peers. */
const peers = ["@anthropic-ai/sdk", "@effect/platform-node", "@effect/sql-pg", "@effect/vitest", "redis", "vitest"]

/** Versions of TypeScript. */
export const compilers = ["5.9.3", "7.0.2"] as const

/** Versions of Node.js beside the version that executes the tests, by the name of their folder. */
const nodes = { node22: "node@22.23.3", node20: "node@20.20.2" } as const

/** An empty folder, removed at the end. */
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

  /** Installs the packages with `effect` alone. */
  install(): Promise<string> {
    return npmInstall(this.directory, [
      ...globSync("*.tgz", { cwd: this.tarballs }).map((tarball) => join(this.tarballs, tarball)),
      `effect@${versionOf("effect")}`
    ])
  }

  /** Installs everything else that an application can use with the packages. */
  installPeers(): Promise<string> {
    return npmInstall(this.directory, [
      ...peers.map((name) => `${name}@${versionOf(name)}`),
      `@types/node@${versionOf("@types/node")}`,
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

  /** Type-checks with a configuration. Fails with the compiler's output. */
  typeCheck(compiler: typeof compilers[number], project: string): Promise<string> {
    const tsc = join(this.directory, "node_modules", `typescript-${compiler}`, "bin", "tsc")
    return run(process.execPath, [tsc, "-p", project], { cwd: this.directory })
  }

  [Symbol.dispose](): void {
    rmSync(this.#root, { recursive: true, force: true })
  }
}
