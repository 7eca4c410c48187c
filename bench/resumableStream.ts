/**
 * resumable-stream on Redis: one stream, and readers that resume it. The process that made the stream keeps the content in
 * memory. Nothing is on disk.
 */
import { createClient } from "redis"
import { createResumableStreamContext, type Publisher, type Subscriber } from "resumable-stream/generic"
import { type Engine, value } from "./engine.ts"
import { serve } from "./ipc.ts"

const client = () => createClient({ url: process.env["BENCH_URL"] ?? "" })

const publisher = client()
const subscriber = client()
await Promise.all([publisher.connect(), subscriber.connect()])

const publishing: Publisher = {
  connect: async () => {},
  publish: (channel, text) => publisher.publish(channel, text),
  set: (key, text, options) => publisher.set(key, text, options?.EX === undefined ? {} : { EX: options.EX }),
  get: (key) => publisher.get(key),
  incr: (key) => publisher.incr(key)
}

const subscribing: Subscriber = {
  connect: async () => {},
  subscribe: (channel, callback) => subscriber.subscribe(channel, callback),
  unsubscribe: (channel) => subscriber.unsubscribe(channel)
}

const context = createResumableStreamContext({ waitUntil: null, publisher: publishing, subscriber: subscribing })

const read = async (stream: ReadableStream<string> | null | undefined): Promise<number> => {
  if (stream === null || stream === undefined) throw new Error("no stream")
  let characters = 0
  for await (const text of stream) characters += text.length
  return characters
}

let streams = 0

const handlers: Pick<Engine, "stream"> = {
  stream: async ({ readers, values }) => {
    const id = `stream${++streams}`
    const go = Promise.withResolvers<void>()
    let expected = 0
    let i = 0
    const source = () =>
      new ReadableStream<string>({
        pull: async (controller) => {
          await go.promise
          if (i === values) return controller.close()
          const text = value(i++)
          expected += text.length
          controller.enqueue(text)
        }
      }, { highWaterMark: 0 })
    // The process that made the stream is one more reader. It reads the source directly, not through Redis.
    const reading = [read(await context.createNewResumableStream(id, source))]
    while (reading.length <= readers) reading.push(read(await context.resumeExistingStream(id)))
    const from = performance.now()
    go.resolve()
    for (const seen of await Promise.all(reading)) {
      if (seen !== expected) throw new Error(`a reader saw ${seen} of ${expected} characters`)
    }
    return performance.now() - from
  }
}

serve(handlers)
