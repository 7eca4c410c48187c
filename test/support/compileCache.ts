/**
 * Compiles the modules of a server before any test starts one. A server that a test kills does not keep what it compiled.
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { environment } from "./server.ts"

export default () => {
  if (existsSync(environment.NODE_COMPILE_CACHE)) return
  // The server loads everything, refuses this port, ends by itself and so keeps what it compiled.
  spawnSync(process.execPath, ["examples/evergreen/src/main.ts"], { env: { ...environment, PORT: "none" } })
}
