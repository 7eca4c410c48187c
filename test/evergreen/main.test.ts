import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"

const evergreen = (environment: Record<string, string>) =>
  ChildProcess.make(process.execPath, ["examples/evergreen/src/main.ts"], {
    env: { PATH: "/usr/bin:/bin", PORT: "0", PERENNIAL_STORE: "memory", ...environment }
  })

/** A server that cannot start: its exit code and all it says. */
const refused = (environment: Record<string, string>) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* evergreen(environment)
    const output = yield* Stream.mkString(Stream.decodeText(handle.all))
    return { code: yield* handle.exitCode, lines: output.trim().split("\n") }
  }))

/** A server that listens: its process, its address and what it said. */
const started = Effect.fnUntraced(function*(environment: Record<string, string>) {
  const handle = yield* evergreen(environment)
  const greeting: Array<string> = []
  yield* handle.all.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.takeUntil((line) => line.includes("curl")),
    Stream.runForEach((line) => Effect.sync(() => greeting.push(line)))
  )
  const address = /http:\/\/[\w.:]+/.exec(greeting.join("\n"))?.[0] ?? assert.fail(greeting.join("\n"))
  return { handle, address, greeting }
})

const get = (url: string) =>
  Effect.promise(async (signal) => {
    const response = await fetch(url, { signal })
    return { status: response.status, type: response.headers.get("content-type"), text: await response.text() }
  })

describe("evergreen", () => {
  it.live("says in one line why it cannot start, and exits with 1", () =>
    Effect.gen(function*() {
      const port = yield* refused({ PORT: "ninety" })
      assert.deepStrictEqual(port, {
        code: ChildProcessSpawner.ExitCode(1),
        lines: ["PORT=ninety is not valid. Accepted: a whole number from 0 (any free port) to 65535."]
      })
      const host = yield* refused({ HOST: "0.0.0.0" })
      assert.deepStrictEqual([host.code, host.lines.length], [ChildProcessSpawner.ExitCode(1), 1])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("greets with its address, the documentation, a curl line and what answers without a key", () =>
    Effect.gen(function*() {
      const { address, greeting } = yield* started({})
      const text = greeting.join("\n")
      assert.include(text, "ANTHROPIC_API_KEY is not set")
      assert.include(text, `${address}/docs`)
      assert.include(text, `curl -N ${address}/chat`)
      assert.deepInclude(yield* get(`${address}/health`), { status: 200 })
      assert.deepInclude(yield* get(`${address}/`), { status: 200, type: "text/html" })
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("P8: SIGTERM and SIGINT in the middle of a task end its streams, and the server with 0", () =>
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

  it.live("refuses a database that another server has, in one line", () =>
    Effect.gen(function*() {
      const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
      const PERENNIAL_STORE = `sqlite:${directory}/perennial.db`
      yield* started({ PERENNIAL_STORE })
      const second = yield* refused({ PERENNIAL_STORE })
      assert.strictEqual(second.code, ChildProcessSpawner.ExitCode(1))
      assert.strictEqual(second.lines.length, 1)
      assert.include(second.lines[0], "in use by another process")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
