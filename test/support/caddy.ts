/**
 * A Caddy for one test, with the site of deploy/Caddyfile. The test may kill it and start it again.
 */
import { Effect } from "effect"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { freePort } from "../../packages/backends/test/support/freePort.ts"
import { environment } from "./server.ts"
import { directory } from "./stores.ts"

export const isInstalled = spawnSync("caddy", ["version"]).status === 0

const replace = (text: string, part: string, by: string): string => {
  if (!text.includes(part)) throw new Error(`deploy/Caddyfile has no line \`${part}\`.`)
  return text.replace(part, by)
}

/** Starts a Caddy in front of a server. `line` is a line for its site. */
export const start = Effect.fnUntraced(function*(target: number, line = "") {
  const folder = yield* directory
  const port = yield* Effect.promise(freePort)
  // No administration: several tests may run at once, and its port is always the same.
  const site = [
    [":8080 {", `{\n\tadmin off\n}\nhttp://127.0.0.1:${port} {\n\t${line}`],
    ["dynamic a server 3000", `dynamic a 127.0.0.1 ${target}`]
  ].reduce((text, [part = "", by = ""]) => replace(text, part, by), readFileSync("deploy/Caddyfile", "utf8"))
  const file = join(folder, "Caddyfile")
  writeFileSync(file, site)

  let running: ChildProcess | undefined
  const begin = Effect.promise(async () => {
    const caddy = spawn("caddy", ["run", "--adapter", "caddyfile", "--config", file], {
      env: { ...environment, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
      stdio: ["ignore", "ignore", "pipe"]
    })
    running = caddy
    const said: Array<string> = []
    await new Promise<void>((resolve, reject) => {
      createInterface(caddy.stderr).on("line", (line) => {
        said.push(line)
        if (line.includes("serving initial configuration")) resolve()
      })
      caddy.on("exit", () => reject(new Error(`Caddy ended:\n${said.join("\n")}`)))
    })
  })
  const kill = Effect.promise(async () => {
    const caddy = running
    running = undefined
    if (caddy?.kill("SIGKILL") === true) await once(caddy, "exit")
  })
  yield* Effect.addFinalizer(() => kill)
  yield* begin
  return { address: `http://127.0.0.1:${port}`, kill, start: begin }
})
