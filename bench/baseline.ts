/**
 * The baseline: a minimal `node:http` server. It parses the same JSON, makes an id, keeps the task in a Map and answers 201.
 * It encodes each event once. It writes each live event by itself, and a replay in blocks of 64 KiB.
 *
 * It stores nothing on disk, resumes no task, does not bound its readers, and has no users. It shows the cost of HTTP itself.
 */
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { serve } from "./ipc.ts"
import { content, message, pace, resources, type Server } from "./server.ts"

interface Task {
  readonly id: string
  status: string
  /** The frames of the events. The first two frames are made at the first read or write. */
  frames: Array<string> | undefined
  readers: Set<ServerResponse> | undefined
}

const tasks = new Map<string, Task>()

const frameOf = (task: Task, seq: number, event: object): string =>
  `id: ${seq}\ndata: ${JSON.stringify({ ...event, taskId: task.id, conversationId: task.id })}\n\n`

const framesOf = (task: Task): Array<string> =>
  task.frames ??= [
    frameOf(task, 1, { type: "ack", messageId: `${task.id}/1` }),
    frameOf(task, 2, { type: "started", attempt: 1 })
  ]

const readersOf = (task: Task): Set<ServerResponse> => task.readers ??= new Set()

const append = (task: Task, event: object): void => {
  const frames = framesOf(task)
  const frame = frameOf(task, frames.length + 1, event)
  frames.push(frame)
  for (const reader of readersOf(task)) reader.write(frame)
}

const finish = (task: Task, status: "completed" | "cancelled"): void => {
  task.status = status
  append(task, status === "completed" ? { type: "done", usage: {} } : { type: "cancelled" })
  for (const reader of readersOf(task)) reader.end()
  readersOf(task).clear()
}

const json = (response: ServerResponse, status: number, body: object): void => {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
}

const view = ({ id, status }: Task) => ({ id, status })

const start = (body: string): Task => {
  const { message }: { readonly message?: unknown } = JSON.parse(body)
  if (typeof message !== "string" || message === "") throw new Error("message")
  const task: Task = { id: randomUUID(), status: "running", frames: undefined, readers: undefined }
  tasks.set(task.id, task)
  return task
}

const replay = async (task: Task, response: ServerResponse): Promise<void> => {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" })
  let block = ""
  for (const frame of framesOf(task)) {
    block += frame
    if (block.length < 65_536) continue
    if (!response.write(block)) await once(response, "drain")
    block = ""
  }
  if (block !== "") response.write(block)
  if (task.status !== "running") return void response.end()
  const readers = readersOf(task)
  readers.add(response)
  response.on("close", () => readers.delete(response))
}

const server = createServer((request, response) => {
  const [, , id = "", action] = (request.url ?? "").split("/")
  const task = tasks.get(id)
  if (request.method === "POST" && id === "") {
    let body = ""
    request.setEncoding("utf8")
    request.on("data", (chunk: string) => (body += chunk))
    request.on("end", () => {
      try {
        json(response, 201, view(start(body)))
      } catch {
        json(response, 400, { title: "Bad Request" })
      }
    })
  } else if (task === undefined) json(response, 404, { title: "Not Found" })
  else if (action === "events") void replay(task, response)
  else {
    request.resume()
    finish(task, "cancelled")
    json(response, 200, view(task))
  }
})

server.listen(0, "127.0.0.1")
await once(server, "listening")
const { port } = server.address() as AddressInfo

const handlers: Server = {
  port: () => port,
  emit: async (emission) => {
    const task = tasks.get(emission.taskId)
    if (task === undefined) throw new Error(`no task ${emission.taskId}`)
    const began = performance.now()
    for (let i = 0; i < emission.count; i++) {
      append(task, { type: "text", content: content() })
      await new Promise<void>((resolve) => pace(emission, began, i, resolve))
      // The emission is as fast as the slowest connection permits.
      for (const reader of readersOf(task)) if (reader.writableNeedDrain) await once(reader, "drain")
    }
    append(task, { type: "message", message, usage: {} })
    finish(task, "completed")
  },
  resources
}

serve(handlers)
