import react from "@vitejs/plugin-react"
import { brotliCompressSync, constants, gzipSync } from "node:zlib"
import { defineConfig, type Plugin } from "vite"

/** `name.br` and `name.gz` beside each file that is worth it: the server sends these files as they are. */
const precompress = (): Plugin => ({
  name: "precompress",
  apply: "build",
  generateBundle: {
    order: "post",
    handler(_, bundle) {
      for (const [fileName, file] of Object.entries(bundle)) {
        const source = Buffer.from(file.type === "chunk" ? file.code : file.source)
        if (source.length < 1024 || !/\.(js|css|svg|html)$/.test(fileName)) continue
        const br = brotliCompressSync(source, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: source.length } })
        this.emitFile({ type: "asset", fileName: `${fileName}.br`, source: br })
        this.emitFile({ type: "asset", fileName: `${fileName}.gz`, source: gzipSync(source, { level: 9 }) })
      }
    }
  }
})

const api = [
  "/tasks",
  "/conversations",
  "/chat",
  "/feed",
  "/approvals",
  "/agents",
  "/me",
  "/operator",
  "/webhooks",
  "/sign-in",
  "/sign-out",
  "/tickets",
  "/users",
  "/health",
  "/ready",
  "/docs",
  "/openapi.json"
]
const target = process.env["EVERGREEN_API"] ?? `http://127.0.0.1:${process.env["PORT"] ?? 3000}`

export default defineConfig({
  root: import.meta.dirname,
  plugins: [react(), precompress()],
  worker: { format: "es" },
  build: {
    target: "es2023",
    // The styles use `light-dark()`, which would be doubled for older browsers.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // One file for what every page loads first: many small files compress worse.
    rolldownOptions: {
      output: { codeSplitting: { groups: [{ name: "app", tags: ["$initial"] }] } }
    },
    reportCompressedSize: false
  },
  server: {
    host: "127.0.0.1",
    port: Number(process.env["EVERGREEN_PAGE_PORT"] ?? 5173),
    strictPort: true,
    // The server wants its own Host, and its own Origin on writing requests.
    proxy: Object.fromEntries(api.map((path) => [path, { target, changeOrigin: true, headers: { origin: target } }]))
  }
})
