/**
 * Removes the outputs of modules that no longer exist. `tsc` keeps them, and a package would ship them.
 */
import { existsSync, globSync, rmSync } from "node:fs"

for (const output of globSync("packages/*/dist/**/*.{js,d.ts,js.map,d.ts.map}")) {
  const source = output.replace("/dist/", "/src/").replace(/(\.d\.ts|\.js)(\.map)?$/, ".ts")
  if (!existsSync(source)) rmSync(output)
}
