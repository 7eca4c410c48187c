/**
 * The server and Vite together, with hot reload of the page: `pnpm dev`. The page is at http://127.0.0.1:5173. `PORT` is the
 * port of the server, and `EVERGREEN_PAGE_PORT` the one of the page.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { createServer } from "vite"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))
const vite = await createServer({ configFile: fileURLToPath(new URL("vite.config.ts", import.meta.url)) })
const server = spawn(process.execPath, [main], { stdio: "inherit" })
server.on("exit", (code) => {
  void vite.close().then(() => process.exit(code ?? 0))
})
process.on("SIGTERM", () => server.kill())
await vite.listen()
vite.printUrls()
