#!/usr/bin/env node
/**
 * The program `perennial`. It is a package of its own in all but name: it needs `@effect/platform-node`.
 */
import("./run.ts").catch((error) => {
  if (error?.code !== "ERR_MODULE_NOT_FOUND") throw error
  process.stderr.write("perennial: A package is not installed: npm install effect @effect/platform-node\n")
  process.exitCode = 2
})
