/**
 * The name of this process as a runner on Node.js: its host, and its number there.
 */
// @effect-diagnostics nodeBuiltinImport:off
import { RunnerName } from "@perennial/domain/RunnerName"
import { Layer } from "effect"
import { hostname } from "node:os"
import { pid } from "node:process"

export const layerRunnerName: Layer.Layer<never> = Layer.sync(RunnerName, () => `${hostname()}-${pid}`)
