import { NodeRedis, NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as Faces from "@perennial/http/Faces"
import { Context, Effect, FileSystem, Layer } from "effect"
import { Redis } from "effect/persistence"
import { ChildProcessSpawner } from "effect/process"
import { hostname } from "node:os"
import { basename } from "node:path"
import { makeDatabase, withPostgres } from "../../packages/backends/test/support/postgres.ts"
import { sayIsSkipped } from "../../packages/backends/test/support/redis.ts"
import * as RedisServer from "../../packages/backends/test/support/redisServer.ts"
import * as Rest from "../support/rest.ts"
import * as Sse from "../support/sse.ts"
import { refused, started } from "./server.ts"

const get = (url: string) =>
  Effect.promise(async (signal) => {
    const response = await fetch(url, { signal })
    return { status: response.status, type: response.headers.get("content-type"), text: await response.text() }
  })

const send = (url: string, body: object) =>
  Effect.promise(async (signal) => {
    const headers = { "content-type": "application/json" }
    const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body), signal })
    return { status: response.status, text: await response.text() }
  })

/** A request of each face, and what its answer has. */
const faces = [
  ["/ai-sdk/chat", { messages: [{ id: "m1", role: "user", parts: [{ type: "text", text: "Hi" }] }] }, "finishReason"],
  ["/v1/responses", { model: "evergreen", input: "Hi", stream: true }, "event: response.completed"],
  [
    "/ag-ui",
    { threadId: "t1", runId: "r1", messages: [{ id: "m1", role: "user", content: "Hi" }] },
    "RUN_FINISHED"
  ],
  [
    "/runs/stream",
    { assistant_id: "evergreen", input: { messages: [{ type: "human", content: "Hi" }] } },
    "event: end"
  ],
  [
    "/a2a/evergreen/message:send",
    { message: { messageId: "m1", role: "ROLE_USER", parts: [{ text: "Hi" }] } },
    "TASK_STATE_COMPLETED"
  ],
  [
    "/mcp",
    { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "evergreen", arguments: { message: "Hi" } } },
    "\"content\":"
  ]
] as const

const acceptedStores = "Accepted: memory, sqlite:<path> such as sqlite:.perennial/perennial.db, "
  + "postgres://<user>:<password>@<host>/<database>, or redis://<host>:<port>."

describe("evergreen", () => {
  it.live("prints one line with the reason if it cannot start, and exits with 1", () =>
    Effect.gen(function*() {
      const port = yield* refused({ PORT: "ninety" })
      assert.deepStrictEqual(port, {
        code: ChildProcessSpawner.ExitCode(1),
        lines: ["PORT=ninety is not valid. Accepted: a whole number from 0 (any free port) to 65535."]
      })
      const retention = yield* refused({ PERENNIAL_RETENTION: "soon" })
      assert.deepStrictEqual(retention.lines, [
        "PERENNIAL_RETENTION=soon is not valid. Accepted: "
        + "a whole number of days, hours, minutes or seconds, such as 30 days, or never."
      ])
      const PERENNIAL_STORE = "sqlite:/proc/x/y/perennial.db"
      const store = yield* refused({ PERENNIAL_STORE })
      const why = "ENOENT: no such file or directory, mkdir '/proc/x'"
      assert.deepStrictEqual(store, {
        code: ChildProcessSpawner.ExitCode(1),
        lines: [`PERENNIAL_STORE=${PERENNIAL_STORE} cannot be used: ${why}. ${acceptedStores}`]
      })
      const host = yield* refused({ HOST: "0.0.0.0" })
      assert.deepStrictEqual([host.code, host.lines.length], [ChildProcessSpawner.ExitCode(1), 1])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("refuses a file that is not a database with one line, which names the accepted values", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = yield* fs.makeTempFileScoped()
      yield* fs.writeFileString(file, "Dear diary, ".repeat(100))
      const { code, lines } = yield* refused({ PERENNIAL_STORE: `sqlite:${file}` })
      assert.deepStrictEqual([code, lines], [
        ChildProcessSpawner.ExitCode(1),
        [`PERENNIAL_STORE=sqlite:${file} cannot be used: file is not a database. ${acceptedStores}`]
      ])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("prints its address, the documentation, a curl command and the model that answers without a key", () =>
    Effect.gen(function*() {
      const { address, greeting } = yield* started({})
      const text = greeting.join("\n")
      assert.include(text, "ANTHROPIC_API_KEY is not set")
      assert.include(text, `${address}/docs`)
      assert.include(text, `curl -N ${address}/chat`)
      assert.deepInclude(yield* get(`${address}/health`), { status: 200 })
      assert.deepInclude(yield* get(`${address}/`), { status: 200, type: "text/html; charset=utf-8" })
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("serves every face, unless PERENNIAL_FACES leaves it out", () =>
    Effect.gen(function*() {
      const script = yield* (yield* FileSystem.FileSystem).makeTempFileScoped()
      yield* (yield* FileSystem.FileSystem).writeFileString(script, "Hello.\n")
      const { address } = yield* started({ PERENNIAL_SCRIPT: script })
      for (const [path, body, frame] of faces) {
        const { status, text } = yield* send(`${address}${path}`, body)
        assert.strictEqual(status, 200, path)
        assert.include(text, frame, path)
      }
      const none = yield* started({ PERENNIAL_FACES: "none" })
      for (const [path, body] of faces) {
        assert.strictEqual((yield* send(`${none.address}${path}`, body)).status, 404, path)
      }
      const wrong = yield* refused({ PERENNIAL_FACES: "gopher" })
      assert.deepStrictEqual(wrong.lines, [`PERENNIAL_FACES=gopher is not valid. Accepted: ${Faces.accepted}.`])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("an operator sees the host and the process that execute a task", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const { address, handle } = yield* started({ PERENNIAL_STORE: `sqlite:${directory}/perennial.db` })
      const chat = yield* Effect.promise((signal) =>
        fetch(`${address}/chat`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ message: "wait 60" }),
          signal
        })
      )
      const reader = chat.body?.getReader()
      assert(reader !== undefined)
      let events = ""
      while (!events.includes(`"type":"started"`)) {
        events += new TextDecoder().decode((yield* Effect.promise(() => reader.read())).value)
      }
      const { text } = yield* get(`${address}/operator/users/local/tasks`)
      assert.match(
        JSON.parse(text).items[0].runner,
        new RegExp(`^${hostname().replace(/[^\w.-]/g, "-")}-${handle.pid}-`)
      )
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("names its store without a password, warns of misspelt variables, and dates its lines", () =>
    Effect.gen(function*() {
      const { greeting } = yield* started({ PERENNIAL_STROE: "memory" })
      const text = greeting.join("\n")
      assert.include(text, "Tasks and conversations are in memory.")
      assert.match(text, /^\[\d{4}-\d\d-\d\dT[\d:.]+Z\] WARN .*PERENNIAL_STROE \(is PERENNIAL_STORE meant\?\)/m)
      const quiet = yield* started({ PERENNIAL_STROE: "memory", PERENNIAL_LOG_LEVEL: "error" })
      assert.notInclude(quiet.greeting.join("\n"), "PERENNIAL_STROE")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("PERENNIAL_LOG_FORMAT=json: every line is JSON, the greeting too", () =>
    Effect.gen(function*() {
      const { greeting } = yield* started({ PERENNIAL_STROE: "memory", PERENNIAL_LOG_FORMAT: "json" })
      const lines = greeting.map((line) => JSON.parse(line))
      assert.deepStrictEqual(lines.map(({ level }) => level), ["WARN", "INFO"])
      assert.match(lines[0].timestamp, /^\d{4}-\d\d-\d\dT/)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("PERENNIAL_SCRIPT: a file has the answers of the model; an invalid file is refused with one line", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const script = yield* fs.makeTempFileScoped()
      yield* fs.writeFileString(script, "The time is:\n@tool current_time\n---\nLate.\n")
      const { address, greeting } = yield* started({ PERENNIAL_SCRIPT: script })
      assert.include(greeting[0], `The script ${script} answers`)
      const id = yield* Rest.start(address, { message: "What time is it?" })
      const { events } = yield* Sse.read(`${address}/tasks/${id}/events`)
      assert.deepStrictEqual(
        events.flatMap(({ data }) => data.type === "text" || data.type === "tool_call" ? [data.type] : []).slice(-2),
        ["tool_call", "text"]
      )
      assert.strictEqual(events.at(-1)?.data.type, "done")
      yield* fs.writeFileString(script, "@boom")
      const wrong = yield* refused({ PERENNIAL_SCRIPT: script })
      assert.strictEqual(wrong.lines.length, 1)
      assert.include(
        wrong.lines[0],
        "PERENNIAL_SCRIPT cannot be played: Line 1 of the script has an unknown instruction"
      )
      const missing = yield* refused({ PERENNIAL_SCRIPT: `${script}.gone` })
      assert.strictEqual(missing.lines.length, 1)
      assert.include(missing.lines[0], "PERENNIAL_SCRIPT cannot be read: ")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("P8: after SIGTERM and SIGINT during a task its streams end, and the server exits with 0", () =>
    Effect.forEach(["SIGTERM", "SIGINT"] as const, (killSignal) =>
      Effect.scoped(Effect.gen(function*() {
        const { address, handle } = yield* started({})
        const stream = yield* Effect.promise((signal) =>
          fetch(`${address}/chat`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({ message: "Hello" }),
            signal
          })
        )
        yield* handle.kill({ killSignal })
        const events = yield* Effect.promise(() => stream.text())
        assert.include(events, `"type":"ack"`)
        assert.notInclude(events, `"type":"cancelled"`)
        assert.strictEqual(yield* handle.exitCode, ChildProcessSpawner.ExitCode(0))
      }))).pipe(Effect.provide(NodeServices.layer)))

  it.live("refuses a Redis that does not answer, with one line", () =>
    Effect.gen(function*() {
      // No server listens on port 1.
      const { code, lines } = yield* refused({ PERENNIAL_STORE: "redis://127.0.0.1:1" })
      assert.deepStrictEqual([code, lines], [
        ChildProcessSpawner.ExitCode(1),
        [`PERENNIAL_STORE=redis://127.0.0.1:1 cannot be used: connect ECONNREFUSED 127.0.0.1:1. ${acceptedStores}`]
      ])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("P2: refuses a database that another server uses, under any of its names, with one line", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const PERENNIAL_STORE = `sqlite:${directory}/perennial.db`
      yield* started({ PERENNIAL_STORE })
      for (
        const [path, why] of [
          [`${directory}/perennial.db`, "in use by another process"],
          [`${directory}//../${basename(directory)}/./perennial.db`, "in use by another process"],
          [`file:${directory}/perennial.db`, "is a URI"],
          [`file:${directory}/perennial.db?mode=rwc`, "is a URI"]
        ] as const
      ) {
        const second = yield* refused({ PERENNIAL_STORE: `sqlite:${path}` })
        assert.strictEqual(second.code, ChildProcessSpawner.ExitCode(1))
        assert.strictEqual(second.lines.length, 1)
        assert.include(second.lines[0], why)
      }
      yield* fs.link(`${directory}/perennial.db`, `${directory}/second.db`)
      const second = yield* refused({ PERENNIAL_STORE: `sqlite:${directory}/second.db` })
      assert.strictEqual(second.code, ChildProcessSpawner.ExitCode(1))
      assert.strictEqual(second.lines.length, 1)
      assert.include(second.lines[0], "has several names")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})

if (!RedisServer.isInstalled) sayIsSkipped("evergreen on Redis")
describe.skipIf(!RedisServer.isInstalled)("evergreen on Redis", () => {
  it.live("a store that fails during the start is one line without the password", () =>
    Effect.gen(function*() {
      const { url } = yield* RedisServer.ownServer
      const { send } = Context.get(yield* Layer.build(NodeRedis.layer({ url })), Redis.Redis)
      // Enough to write, and not enough to renew a lease.
      yield* send("ACL", "SETUSER", "eve", "on", ">secret", "~*", "+@all", "-zrange")
      const { code, lines } = yield* refused({ PERENNIAL_STORE: url.replace("//", "//eve:secret@") })
      assert.strictEqual(code, ChildProcessSpawner.ExitCode(1))
      const said = lines.filter((line) => !line.includes("REDIS MAY LOSE"))
      assert.strictEqual(said.length, 1, said.join("\n"))
      assert.match(
        said[0] ?? "",
        /^PERENNIAL_STORE=redis:\/\/<hidden>@\S+ cannot be used: \w+ The user executing the script/
      )
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})

withPostgres("evergreen on PostgreSQL", (server) => {
  it.live("refuses a database that it cannot use, with one line without the password", () =>
    Effect.gen(function*() {
      const { url } = yield* makeDatabase(server, "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
      const { code, lines } = yield* refused({ PERENNIAL_STORE: url })
      assert.strictEqual(code, ChildProcessSpawner.ExitCode(1))
      assert.strictEqual(lines.length, 1)
      assert.match(
        lines[0] ?? "",
        /^PERENNIAL_STORE=postgres:\/\/<hidden>@\S+ cannot be used: The encoding of the database is LATIN1,/
      )
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
