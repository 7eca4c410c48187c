/** The image of `deploy/Dockerfile`: its steps are executed here, without a container, and its server is started. */
import { spawn } from "node:child_process"
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { afterAll, beforeAll, expect, it } from "vitest"
import { run, workspace } from "./application.ts"

const dockerfile = readFileSync(join(workspace, "deploy/Dockerfile"), "utf8")
const [, build = "", image = ""] = dockerfile.split(/^FROM .*$/m)

/** The rest of each line that begins with an instruction. */
const instructions = (stage: string, name: string): ReadonlyArray<string> =>
  [...stage.matchAll(new RegExp(`^${name} (.*)$`, "gm"))].map(([, rest = ""]) => rest)

const command = (name: string): ReadonlyArray<string> =>
  JSON.parse(/\[.*\]$/m.exec(instructions(image, name)[0] ?? "")?.[0] ?? "[]")

const variables = Object.fromEntries(
  instructions(image, "ENV").flatMap((line) => line.split(" ")).map((pair) => pair.split("=", 2))
)

/** Processes of root ignore the modes of files, so that the server is not executed as root. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

const folder = mkdtempSync(join(tmpdir(), "perennial-image-"))
const data = join(folder, "data")
const app = join(folder, "app")

beforeAll(async () => {
  const source = join(folder, "source")
  chmodSync(folder, 0o755)
  const files = (await run("git", ["ls-files", "-z", "--cached"], { cwd: workspace })).split("\0").filter(Boolean)
  for (const file of files) cpSync(join(workspace, file), join(source, file))
  const [install = ""] = instructions(build, "RUN")
  await run("sh", ["-c", install], { cwd: source })
  for (const line of instructions(image, "COPY --from=build")) {
    const [from = "", to = ""] = line.split(" ")
    cpSync(from.replace("/app", source), join(app, to), { recursive: true, verbatimSymlinks: true })
  }
  await run("chmod", ["-R", "a-w,a+rX", app], { cwd: folder })
  mkdirSync(data, { mode: 0o700 })
  if (nobody.uid !== undefined) chownSync(data, nobody.uid, nobody.gid)
})

afterAll(async () => {
  await run("chmod", ["-R", "u+w", folder], { cwd: tmpdir() })
  rmSync(folder, { recursive: true, force: true })
})

it("has the files of the server alone, and no tool of development", () => {
  expect(readdirSync(app).toSorted()).toEqual(["examples", "node_modules", "package.json", "packages"])
  for (const tool of ["typescript", "vitest", "oxlint"]) {
    expect(readdirSync(join(app, "node_modules"))).not.toContain(tool)
  }
})

it("runs without root on files that it cannot change, is healthy, keeps its store in /data, and ends on SIGTERM", async () => {
  const [, ...args] = command("CMD")
  const env = {
    ...variables,
    PATH: "/usr/bin:/bin",
    // The image listens on all addresses, which needs tokens.
    HOST: "127.0.0.1",
    PORT: "0",
    PERENNIAL_STORE: String(variables["PERENNIAL_STORE"]).replace("/data", data)
  }
  const server = spawn(process.execPath, args, { cwd: app, env, ...nobody, stdio: ["ignore", "pipe", "inherit"] })
  const ended = new Promise<number | null>((resolve) => server.once("exit", resolve))
  try {
    let port: string | undefined
    for await (const line of createInterface(server.stdout)) {
      port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1]
      if (port !== undefined) break
    }
    expect(port).toBeDefined()
    const [, ...check] = command("HEALTHCHECK")
    await run(process.execPath, check, { cwd: app, env: { PORT: port } })
    await expect(run(process.execPath, check, { cwd: app, env: { PORT: "1" } })).rejects.toThrow()
    expect(readdirSync(data)).toContain("perennial.db")
    server.kill("SIGTERM")
    expect(await ended).toBe(0)
  } finally {
    server.kill("SIGKILL")
  }
})
