/**
 * Fills the compile cache of Node.js before any test starts a server. A killed server does not write to the cache.
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { environment } from "./server.ts"

export default () => {
  if (existsSync(environment.NODE_COMPILE_CACHE)) return
  // The server loads all modules, refuses the port, and ends by itself: it then writes the cache.
  spawnSync(process.execPath, ["examples/evergreen/src/main.ts"], { env: { ...environment, PORT: "none" } })
}
