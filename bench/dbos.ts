/**
 * DBOS on PostgreSQL: workflows of one step, and streams.
 */
import { DBOS } from "@dbos-inc/dbos-sdk"
import { type Engine, runJobs, value } from "./engine.ts"
import { serve } from "./ipc.ts"

const step = DBOS.registerStep(async () => "That was all.", { name: "step" })
const job = DBOS.registerWorkflow(async () => await step(), { name: "job" })

const key = "values"
let go = Promise.withResolvers<void>()

const write = DBOS.registerWorkflow(async (values: number) => {
  await go.promise
  for (let i = 0; i < values; i++) await DBOS.writeStream(key, value(i))
  await DBOS.closeStream(key)
}, { name: "write" })

const url = process.env["BENCH_URL"]
if (url === undefined) throw new Error("BENCH_URL")
DBOS.setConfig({ name: "bench", systemDatabaseUrl: url, logLevel: "error" })
await DBOS.launch()

const read = async (workflowId: string): Promise<number> => {
  let seen = 0
  for await (const _ of DBOS.readStream(workflowId, key)) seen++
  return seen
}

const handlers: Engine = {
  jobs: (options) =>
    runJobs(options, async () => {
      const handle = await DBOS.startWorkflow(job)()
      return { ended: handle.getResult() }
    }),
  stream: async ({ readers, values }) => {
    go = Promise.withResolvers()
    const handle = await DBOS.startWorkflow(write)(values)
    const reading = Array.from({ length: readers }, () => read(handle.workflowID))
    const from = performance.now()
    go.resolve()
    for (const seen of await Promise.all(reading)) {
      if (seen !== values) throw new Error(`a reader saw ${seen} of ${values}`)
    }
    return performance.now() - from
  }
}

serve(handlers)
