import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as NodeServer from "@perennial/http/NodeServer"
import * as Server from "@perennial/http/Server"
import { Context, Deferred, Effect, Fiber, FileSystem, Layer } from "effect"
import { HttpServer } from "effect/http"
import { spawnSync } from "node:child_process"
import { type Ended, makeProgram, type Options, perennial } from "./cli.ts"
import { makeManager, portOf, serve } from "./nodeServer.ts"
import { layerTokens, makeEcho } from "./support.ts"

/** A server, and a function that runs the program against it. */
const make = Effect.gen(function*() {
  const echo = makeEcho()
  const { port } = yield* serve(yield* makeManager(echo))
  const server = `http://127.0.0.1:${port}`
  const env = { PERENNIAL_SERVER: server }
  const run = (...args: ReadonlyArray<string>) => perennial(args, { env })
  const json = (...args: ReadonlyArray<string>) => Effect.map(run(...args, "--json"), ({ out }) => JSON.parse(out))
  return { echo, env, json, run, server }
})

/** Starts the program, and waits until it has printed a text. */
const printed = Effect.fnUntraced(function*(text: string, args: ReadonlyArray<string>, options: Options) {
  const seen = yield* Deferred.make<void>()
  const program = makeProgram(args, {
    ...options,
    onOutput: (output) => {
      if (output.includes(text)) Deferred.doneUnsafe(seen, Effect.void)
    }
  })
  const fiber = yield* Effect.forkScoped(program.ended)
  yield* Effect.raceFirst(
    Deferred.await(seen),
    Effect.flatMap(Fiber.join(fiber), ({ err, out }) => Effect.die(new Error(`The program has ended: ${out}${err}`)))
  )
  return { ended: Fiber.join(fiber), signal: program.signal }
})

const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")

/** A failure is one line on standard error, and nothing on standard output. */
const assertRefused = ({ code, err, out }: Ended, expected: number, message: RegExp) => {
  assert.strictEqual(code, expected, err)
  assert.strictEqual(out, "")
  assert.strictEqual(lines(err).length, 1, err)
  assert.isAtMost(err.length, 301)
  assert.match(err, /^perennial: /)
  assert.match(err, message)
}

describe("perennial start", () => {
  it.live("prints the answer on standard output, and everything else on standard error", () =>
    Effect.gen(function*() {
      const { run } = yield* make
      const { code, err, out } = yield* run("start", "one", "two")
      assert.deepStrictEqual([code, out], [0, "onetwo\n"])
      assert.match(err, /^Task \S+ of conversation \S+\n$/)
    }).pipe(Effect.scoped))

  it.live("P3: with --json it prints each event once, in order, one on each line", () =>
    Effect.gen(function*() {
      const { run } = yield* make
      const { code, err, out } = yield* run("start", "10x3", "--json")
      const events = lines(out).map((line) => JSON.parse(line))
      assert.deepStrictEqual([code, err], [0, ""])
      assert.deepStrictEqual(events.map(({ seq }) => seq), events.map((_, i) => i + 1))
      assert.strictEqual(events[0].event.type, "ack")
      assert.strictEqual(events.at(-1).event.type, "done")
    }).pipe(Effect.scoped))

  it.live("reads the message from standard input", () =>
    Effect.gen(function*() {
      const { env } = yield* make
      const { code, out } = yield* perennial(["start", "-"], { env, stdin: "from a file" })
      assert.deepStrictEqual([code, out], [0, "fromafile\n"])
    }).pipe(Effect.scoped))

  it.live("--detach prints the task and leaves", () =>
    Effect.gen(function*() {
      const { echo, json, run } = yield* make
      const task = yield* json("start", "hold", "--detach", "-c", "c1")
      assert.deepInclude(task, { conversationId: "c1", agentId: "echo" })
      assertRefused(yield* run("start", "again", "-c", "c1"), 6, /busy/)
      yield* echo.gate.open
      assert.strictEqual((yield* run("watch", task.id)).code, 0)
    }).pipe(Effect.scoped))

  it.live("the same idempotency key starts nothing new", () =>
    Effect.gen(function*() {
      const { json, run } = yield* make
      const start = () => json("start", "a", "--detach", "--idempotency-key", "k1")
      assert.strictEqual((yield* start()).id, (yield* start()).id)
      assertRefused(yield* run("start", "b", "--idempotency-key", "k1"), 6, /"k1"/)
    }).pipe(Effect.scoped))

  it.live("a task that fails is exit code 1 and one line", () =>
    Effect.gen(function*() {
      const { run } = yield* make
      const { code, err, out } = yield* run("start", "break")
      assert.deepStrictEqual([code, out], [1, ""])
      assert.match(lines(err).at(-1) ?? "", /^perennial: Task \S+ failed: /)
      assert.notInclude(err, "secret connection string")
    }).pipe(Effect.scoped))
})

describe("leaving", () => {
  it.live("P6: Ctrl-C leaves, says how to come back, and the task runs on: a later watch shows every event once", () =>
    Effect.gen(function*() {
      const { echo, env, json, run, server } = yield* make
      const program = yield* printed("one", ["start", "one", "hold", "two", "--server", server], { env })
      assert.isTrue(program.signal("SIGINT"))
      const { code, err, out } = yield* program.ended
      assert.deepStrictEqual([code, out], [130, "one\n"])
      const [, id = ""] = /To come back: perennial watch (\S+) --server http/.exec(err) ?? []
      assert.strictEqual((yield* json("show", id)).status, "running")
      yield* echo.gate.open
      const seen = lines((yield* run("watch", id, "--json")).out).map((line) => JSON.parse(line))
      assert.deepStrictEqual(seen.map(({ seq }) => seq), seen.map((_, i) => i + 1))
      assert.strictEqual(seen.at(-1).event.type, "done")
    }).pipe(Effect.scoped))

  it.live("a second Ctrl-C cancels the task", () =>
    Effect.gen(function*() {
      const { env, json } = yield* make
      const program = yield* printed("one", ["start", "one", "hold"], { env })
      program.signal("SIGINT")
      program.signal("SIGINT")
      const { code, err } = yield* program.ended
      assert.strictEqual(code, 130)
      assert.match(err, /Cancelling/)
      assert.deepStrictEqual((yield* json("list")).items.map(({ status }: { status: string }) => status), ["cancelled"])
    }).pipe(Effect.scoped))

  it.live("--cancel-on-exit cancels at the first signal", () =>
    Effect.gen(function*() {
      const { env, json } = yield* make
      const program = yield* printed("one", ["start", "one", "hold", "--cancel-on-exit"], { env })
      program.signal("SIGTERM")
      assert.strictEqual((yield* program.ended).code, 143)
      assert.deepStrictEqual((yield* json("list")).items.map(({ status }: { status: string }) => status), ["cancelled"])
    }).pipe(Effect.scoped))

  it.live("a reader of the output that is gone ends the program quietly", () =>
    Effect.gen(function*() {
      const { env, json } = yield* make
      const program = yield* printed("one", ["start", "one", "hold"], { env })
      program.signal("SIGPIPE")
      const { code, err } = yield* program.ended
      assert.deepStrictEqual([code, lines(err).length], [0, 1])
      assert.deepStrictEqual((yield* json("list")).items.map(({ status }: { status: string }) => status), ["running"])
    }).pipe(Effect.scoped))
})

describe("other commands", () => {
  it.live("show, list and conversations print tables, or one JSON document", () =>
    Effect.gen(function*() {
      const { json, run } = yield* make
      yield* run("start", "title", "-c", "c1")
      const { items } = yield* json("list", "--status", "completed")
      assert.deepStrictEqual([items.length, items[0].conversationId], [1, "c1"])
      assert.match(
        (yield* run("list")).out,
        /^\S+ {2}completed {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ {2}echo {2}A title\n$/
      )
      assert.match((yield* run("show", items[0].id)).out, /^task +\S+\nstatus +completed\n/)
      assert.deepStrictEqual((yield* json("show", items[0].id)).id, items[0].id)
      assert.deepInclude((yield* json("conversations")).items[0], { id: "c1", title: "A title" })
      assert.match((yield* run("conversations", "c1")).out, /^user {2}.*\ntitle\n\nassistant {2}.*\ndone\n$/)
      assert.deepStrictEqual((yield* json("conversations", "c1")).items.length, 2)
      assert.deepStrictEqual((yield* run("list", "--status", "error")).out, "")
    }).pipe(Effect.scoped))

  it.live("decide answers the only call that waits; show says which commands decide", () =>
    Effect.gen(function*() {
      const { env, run } = yield* make
      const program = yield* printed("a", ["start", "a", "approve", "-c", "c1"], { env })
      const { items } = JSON.parse((yield* run("list", "--json")).out)
      const [{ id }] = items
      assertRefused(yield* run("decide", id), 2, /--approve or --deny/)
      assertRefused(yield* run("decide", id, "other", "--deny"), 5, /"other"/)
      const { code, out } = yield* run("decide", id, "call/1", "--approve", "--reason", "fine")
      assert.deepStrictEqual([code, out], [0, "The tool call call/1 is approved.\n"])
      const ended = yield* program.ended
      assert.deepStrictEqual([ended.code, ended.out], [0, "a\napprovedapprove\n"])
      assert.include(ended.err, `perennial decide ${id} call/1 --approve`)
      assertRefused(yield* run("decide", id, "--deny"), 5, /No tool call/)
    }).pipe(Effect.scoped))

  it.live("cancel waits for the end of the task, and gives every reader the reason", () =>
    Effect.gen(function*() {
      const { env, json, run } = yield* make
      const program = yield* printed("one", ["start", "one", "hold"], { env })
      const { items: [{ id }] } = yield* json("list")
      assert.strictEqual((yield* json("cancel", id, "--reason", "enough")).status, "cancelled")
      const { code, err } = yield* program.ended
      assert.strictEqual(code, 1)
      assert.match(lines(err).at(-1) ?? "", /was cancelled: enough$/)
      assertRefused(yield* run("cancel", "t0"), 5, /"t0"/)
    }).pipe(Effect.scoped))
})

describe("failures", () => {
  it.live("a mistake in the command line is one line", () =>
    Effect.gen(function*() {
      for (
        const args of [["start"], ["lsit"], ["list", "--limit", "0"], ["list", "--colour"], ["show"], [
          "start",
          "a",
          "--on-busy",
          "x"
        ]]
      ) {
        assertRefused(yield* perennial(args), 2, / --help$/m)
      }
    }))

  it.live("a server that does not answer is exit code 3, at once", () =>
    Effect.gen(function*() {
      const { close, port } = yield* serve(yield* makeManager(makeEcho()))
      yield* close
      const server = `http://127.0.0.1:${port}`
      for (const args of [["list"], ["start", "a"], ["watch", "t1"]]) {
        assertRefused(yield* perennial([...args, "--server", server]), 3, new RegExp(`${server}.*ECONNREFUSED`))
      }
    }).pipe(Effect.scoped))

  it.live("P12: the token comes from a variable or a file, and is never printed", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(
        Server.layer().pipe(
          Layer.provide([yield* makeManager(makeEcho()), layerTokens]),
          Layer.provideMerge(NodeServer.layer({ port: 0 }))
        )
      )
      const env = { PERENNIAL_SERVER: `http://127.0.0.1:${yield* portOf(Context.get(context, HttpServer.HttpServer))}` }
      assertRefused(yield* perennial(["list"], { env }), 4, /token/)
      const wrong = yield* perennial(["list"], { env: { ...env, PERENNIAL_TOKEN: "mallory-secret" } })
      assertRefused(wrong, 4, /token/)
      assert.notInclude(wrong.err, "mallory-secret")
      const files = yield* FileSystem.FileSystem
      const file = yield* files.makeTempFileScoped()
      yield* files.writeFileString(file, "alice-secret\n")
      assert.strictEqual((yield* perennial(["start", "a", "--token-file", file], { env })).code, 0)
      const token = { ...env, PERENNIAL_TOKEN: "bob-secret" }
      assert.strictEqual((yield* perennial(["list", "--json"], { env: token })).out, `{"items":[]}\n`)
      assertRefused(yield* perennial(["list", "--token-file", "/none"], { env }), 2, /\/none/)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("addresses and flags that do not fit are usage", () =>
    Effect.gen(function*() {
      assertRefused(yield* perennial(["list", "--server", "ftp://x"]), 2, /ftp:\/\/x/)
      assertRefused(yield* perennial(["list", "--server", "http://u:secret@127.0.0.1"]), 2, /PERENNIAL_TOKEN/)
      assertRefused(yield* perennial(["list", "--store", "mysql://u:secret@h/d"]), 2, /mysql:\/\/<hidden>@h\/d/)
      assertRefused(yield* perennial(["list", "--store", "memory", "--server", "http://127.0.0.1"]), 2, /--server/)
      assertRefused(yield* perennial(["list", "--user", "eve"]), 2, /--user/)
    }))
})

describe("a terminal", () => {
  it.live("gets colours, unless NO_COLOR is set; a pipe never gets them", () =>
    Effect.gen(function*() {
      const { env } = yield* make
      const escapes = (options: Options) =>
        Effect.map(perennial(["start", "a"], options), ({ err, out }) => `${out}${err}`.includes("\u001b"))
      assert.isTrue(yield* escapes({ env, terminal: true }))
      assert.isFalse(yield* escapes({ env: { ...env, NO_COLOR: "1" }, terminal: true }))
      assert.isFalse(yield* escapes({ env }))
    }).pipe(Effect.scoped))

  it.live("is not controlled by what a model writes", () =>
    Effect.gen(function*() {
      const { run } = yield* make
      assert.strictEqual((yield* run("start", "\u001b]0;owned\u0007\u009b31mred")).out, "]0;owned31mred\n")
      assert.notInclude((yield* run("start", "\u009b31mred", "--json")).out, "\u009b")
    }).pipe(Effect.scoped))
})

describe("help", () => {
  it.live("--help names every command; completions know them, too", () =>
    Effect.gen(function*() {
      const names = [
        "serve",
        "start",
        "watch",
        "cancel",
        "decide",
        "list",
        "show",
        "conversations",
        "export",
        "delete-user",
        "doctor"
      ]
      const commands = [["--help"], [], ...["bash", "zsh", "fish"].map((shell) => ["--completions", shell])]
      for (const args of commands) {
        const { code, err, out } = yield* perennial(args)
        assert.deepStrictEqual([code, err], [0, ""])
        for (const name of names) assert.include(out, name)
      }
      assert.strictEqual((yield* perennial(["--version"])).out, "perennial 1.2.3\n")
    }))

  it.live("bash completes the flags that commands share, after each command that has them, and nothing that a command lacks", () =>
    Effect.gen(function*() {
      const { out } = yield* perennial(["--completions", "bash"])
      const files = yield* FileSystem.FileSystem
      const script = yield* files.makeTempFileScoped()
      yield* files.writeFileString(script, out)
      /** What the script offers for a command line, the last word of which is not complete. */
      const offered = (...words: ReadonlyArray<string>) => {
        const ask = `source "$0"; COMP_WORDS=(perennial "$@"); COMP_CWORD=$#; COMP_LINE="perennial $*"; `
          + `COMP_POINT=\${#COMP_LINE}; $(complete -p perennial | sed "s/.*-F \\([^ ]*\\).*/\\1/") perennial "\${@: -1}" ""; `
          + `printf "%s\\n" "\${COMPREPLY[@]}"`
        const { status, stderr, stdout } = spawnSync("bash", ["-c", ask, script, ...words], { encoding: "utf8" })
        assert.strictEqual(status, 0, stderr)
        return lines(stdout).map((word) => word.trim())
      }
      const shared = ["--server", "--token-file", "--store", "--user", "--json", "--log-level", "--help"]
      for (
        const command of ["start", "watch", "cancel", "decide", "list", "show", "conversations", "export", "doctor"]
      ) {
        assert.includeMembers(offered(command, "--"), shared, command)
      }
      assert.deepStrictEqual(offered("list", "--st"), ["--status", "--store"])
      assert.deepStrictEqual(offered("serve", "--s"), ["--store"])
      assert.notIncludeMembers(offered("serve", "--"), ["--server", "--user"])
      assert.includeMembers(offered("--"), ["--json", "--server", "--version", "--completions"])
      assert.deepStrictEqual(offered("--server", "http://127.0.0.1", "canc"), ["cancel"])
      assert.deepStrictEqual(offered("list", "--log-level", "err"), ["error"])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
