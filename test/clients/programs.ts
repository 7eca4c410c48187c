/**
 * The programs of docs/clients.md: every fence with a name is one. They run in a folder of their own, as those of a reader of
 * the page do.
 */
import { Effect } from "effect"
import { readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { delimiter, join } from "node:path"
import { makeManager, serve } from "../../packages/http/test/nodeServer.ts"
import { layerTokens, makeEcho } from "../../packages/http/test/support.ts"
import { run } from "../packages/application.ts"
import { directory } from "../support/stores.ts"

const page = readFileSync("docs/clients.md", "utf8")

export const programs: ReadonlyMap<string, string> = new Map(
  [...page.matchAll(/^```\w+ name=(\S+)\n([\s\S]*?)^```$/gm)].map(([, name = "", code = ""]) => [name, code])
)

const typescript = {
  strict: true,
  noUncheckedIndexedAccess: true,
  target: "ES2024",
  lib: ["ES2024", "DOM", "DOM.Iterable", "DOM.AsyncIterable"],
  module: "NodeNext",
  verbatimModuleSyntax: true,
  erasableSyntaxOnly: true,
  allowImportingTsExtensions: true,
  noEmit: true,
  skipLibCheck: true,
  types: ["node"]
}

/** A server with tokens, and a folder with the programs of the page. `execute` runs a program against the server. */
export const prepare = Effect.gen(function*() {
  const { port } = yield* serve(yield* makeManager(makeEcho()), {}, layerTokens)
  const folder = yield* directory
  symlinkSync(join(import.meta.dirname, "node_modules"), join(folder, "node_modules"))
  writeFileSync(join(folder, "package.json"), `{ "type": "module" }`)
  for (const [name, code] of programs) writeFileSync(join(folder, name), code)

  const execute = (
    program: string,
    args: ReadonlyArray<string>,
    server = `http://127.0.0.1:${port}`
  ) =>
    Effect.promise(() =>
      run(program, args, {
        cwd: folder,
        env: {
          PATH: [join(folder, "node_modules/.bin"), process.env["PATH"]].join(delimiter),
          HOME: folder,
          // The generators are installed: `npx` must not ask a registry.
          npm_config_offline: "true",
          PERENNIAL_SERVER: server,
          PERENNIAL_TOKEN: "alice-secret"
        }
      })
    )
  /** Checks programs with the TypeScript of the workspace. */
  const check = (files: ReadonlyArray<string>) => {
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ files, compilerOptions: typescript }))
    return execute(join(process.cwd(), "node_modules/.bin/tsc"), ["--project", folder])
  }
  return { port, execute, check }
})
