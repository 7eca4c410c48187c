/**
 * Builds the web app of the complete server, if it is not built from the files as they are.
 */
import { spawnSync } from "node:child_process"

export default () => {
  const { status } = spawnSync(process.execPath, ["examples/evergreen/web/build.ts"], { stdio: "inherit" })
  if (status !== 0) throw new Error("the web app of examples/evergreen cannot be built")
}
