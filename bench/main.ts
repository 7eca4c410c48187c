/**
 * Compares Perennial with other programs, in the same execution and on the same machine: HTTP with a minimal `node:http`
 * server, stores with engines that do similar work on them (DBOS, BullMQ, resumable-stream), and agents with the SDK of their
 * model. BENCHMARKS.md describes the method.
 *
 *     pnpm bench [--quick] [--only live50,replay] [--rounds 5] [--json figures.json]
 *
 * Servers and clients run in separate processes. The rounds of both servers alternate. Each figure is the median of its
 * rounds. Ratios can be compared between machines, absolute figures cannot.
 *
 * The minimal server writes each event by itself. Perennial batches events that arrive while a stream is busy. This explains
 * the `live` figures, and the higher latency of the figures at a fixed rate. Clients run on the same machine: with few cores
 * the `live` figures depend on the clients, too.
 */
import { writeFileSync } from "node:fs"
import { cpus } from "node:os"
import { parseArgs } from "node:util"
import { alone, memory, overHttp, type Setting } from "./cases.ts"
import type { Client } from "./client.ts"
import { spawn } from "./ipc.ts"
import { onModels } from "./modelCases.ts"
import { type Figure, lines, record, type Results, table } from "./report.ts"
import type { Server } from "./server.ts"
import { onStores } from "./storeCases.ts"
import { makeServers } from "./stores.ts"

const names = [alone, overHttp, memory, onModels, onStores].flatMap((cases) => Object.keys(cases))

const { values: flags } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    rounds: { type: "string" },
    json: { type: "string" }
  }
})
const only = flags.only?.split(",") ?? names
const unknown = only.filter((name) => !names.includes(name))
const rounds = Number(flags.rounds ?? (flags.quick ? 1 : 5))
if (unknown.length > 0 || !Number.isInteger(rounds) || rounds < 1) {
  console.error(
    unknown.length > 0
      ? `--only ${unknown.join(",")} is not valid. Accepted: ${names.join(", ")}.`
      : `--rounds ${flags.rounds} is not valid. Accepted: a whole number from 1.`
  )
  process.exit(1)
}

const modules = { baseline: "./baseline.ts", perennial: "./perennial.ts" } as const
const servers = ["baseline", "perennial"] as const

const measure = async (
  module: string,
  options: { readonly exposeGc: boolean },
  run: (setting: Setting) => Promise<ReadonlyArray<Figure>>
): Promise<ReadonlyArray<Figure>> => {
  await using server = await spawn<Server>(module, options)
  await using client = await spawn<Client>("./client.ts")
  return await run({ port: await server.call("port"), server, client, quick: flags.quick })
}

const results: Results = new Map()

for (const [name, run] of Object.entries(alone)) {
  if (!only.includes(name)) continue
  for (let round = 1; round <= rounds; round++) {
    console.error(`${name}: round ${round} of ${rounds}`)
    record(results, "perennial", await run(flags.quick))
  }
}
for (const [name, run] of Object.entries({ ...overHttp, ...memory })) {
  if (!only.includes(name)) continue
  for (let round = 1; round <= rounds; round++) {
    console.error(`${name}: round ${round} of ${rounds}`)
    for (const server of servers) {
      record(results, server, await measure(modules[server], { exposeGc: name in memory }, run))
    }
  }
}

for (const [name, run] of Object.entries(onModels)) {
  if (!only.includes(name)) continue
  for (let round = 1; round <= rounds; round++) {
    console.error(`${name}: round ${round} of ${rounds}`)
    const { baseline, perennial } = await run(flags.quick)
    record(results, "perennial", perennial)
    record(results, "baseline", baseline)
  }
}

{
  await using stores = makeServers()
  for (const [name, run] of Object.entries(onStores)) {
    if (!only.includes(name)) continue
    for (let round = 1; round <= rounds; round++) {
      console.error(`${name}: round ${round} of ${rounds}`)
      const { baseline, perennial } = await run(stores, flags.quick)
      record(results, "perennial", perennial)
      record(results, "baseline", baseline)
    }
  }
}

const report = {
  node: process.version,
  cpu: `${cpus().length} x ${cpus()[0]?.model.trim() ?? "unknown"}`,
  rounds,
  quick: flags.quick,
  figures: lines(results)
}
console.log(`Node ${report.node}, ${report.cpu}, medians of ${rounds} rounds${flags.quick ? " (quick)" : ""}\n`)
console.log(table(report.figures))
console.log(`\n${JSON.stringify(report)}`)
if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(report, undefined, 2)}\n`)
