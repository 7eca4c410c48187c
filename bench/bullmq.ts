/**
 * BullMQ on Redis: jobs are added and completed.
 */
import { Queue, QueueEvents, Worker } from "bullmq"
import { createClient } from "redis"
import { type Engine, runJobs } from "./engine.ts"
import { serve } from "./ipc.ts"

const connect = async () => {
  const client = createClient({ url: process.env["BENCH_URL"] ?? "" })
  await client.connect()
  return client
}

const queue = new Queue("bench", { connection: await connect() })
const events = new QueueEvents("bench", { connection: await connect() })
const worker = new Worker("bench", async () => "That was all.", { connection: await connect(), concurrency: 32 })
await Promise.all([queue.waitUntilReady(), events.waitUntilReady(), worker.waitUntilReady()])
// `waitUntilFinished` adds listeners to both for each job.
events.setMaxListeners(0)
queue.setMaxListeners(0)

const handlers: Pick<Engine, "jobs"> = {
  jobs: (options) =>
    runJobs(options, async () => {
      const job = await queue.add("job", { message: "go" })
      return { ended: job.waitUntilFinished(events) }
    })
}

serve(handlers)
