/**
 * An nginx for one test, with the site of deploy/nginx.conf. The test may kill it and start it again.
 */
import { Effect } from "effect"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { freePort } from "../../packages/backends/test/support/freePort.ts"
import { directory } from "./stores.ts"

/** Debian has nginx where only root looks for programs. */
const program = ["nginx", "/usr/sbin/nginx"].find((name) => spawnSync(name, ["-v"]).status === 0)

export const isInstalled = program !== undefined

/** The folders in which nginx keeps bodies. */
const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]

const replace = (text: string, part: string, by: string): string => {
  if (!text.includes(part)) throw new Error(`deploy/nginx.conf has no line \`${part}\`.`)
  return text.replace(part, by)
}

/** One process, which a signal kills as a whole. */
const configuration = (prefix: string, site: string): string => `
daemon off;
master_process off;
pid ${prefix}/nginx.pid;
error_log stderr notice;
events {}
http {
  access_log off;
  ${folders.map((folder) => `${folder}_temp_path ${prefix}/${folder};`).join("\n  ")}
  ${site}
}
`

/** Starts an nginx in front of a server. `buffering` is a line for its location. */
export const start = Effect.fnUntraced(function*(target: number, buffering = "") {
  const prefix = yield* directory
  const port = yield* Effect.promise(freePort)
  const site = [
    ["server 127.0.0.1:3000;", `server 127.0.0.1:${target};`],
    ["listen 8080;", `listen 127.0.0.1:${port};`],
    ["proxy_read_timeout", `${buffering}\n    proxy_read_timeout`]
  ].reduce((text, [part = "", by = ""]) => replace(text, part, by), readFileSync("deploy/nginx.conf", "utf8"))
  for (const folder of folders) mkdirSync(join(prefix, folder))
  const file = join(prefix, "nginx.conf")
  writeFileSync(file, configuration(prefix, site))

  let running: ChildProcess | undefined
  const begin = Effect.promise(async () => {
    const nginx = spawn(program ?? "nginx", ["-p", prefix, "-c", file, "-e", "stderr"], {
      stdio: ["ignore", "ignore", "pipe"]
    })
    running = nginx
    const said: Array<string> = []
    await new Promise<void>((resolve, reject) => {
      createInterface(nginx.stderr).on("line", (line) => {
        said.push(line)
        // nginx says its version when it listens.
        if (line.includes("[notice]") && /nginx\/\d/.test(line)) resolve()
      })
      nginx.on("exit", () => reject(new Error(`nginx ended:\n${said.join("\n")}`)))
    })
  })
  const kill = Effect.promise(async () => {
    const nginx = running
    running = undefined
    if (nginx?.kill("SIGKILL") === true) await once(nginx, "exit")
  })
  yield* Effect.addFinalizer(() => kill)
  yield* begin
  return { address: `http://127.0.0.1:${port}`, kill, start: begin }
})
