/**
 * Follows docs/tutorial.md: its code blocks say by the words behind their language what they are.
 *
 * - `ts <file>`, `json <file>`, `html <file>`: a file to write.
 * - `sh server`: the command of the first terminal. What runs there is stopped with Ctrl-C before.
 * - `sh kill`: kills what runs in the first terminal.
 * - `sh`: commands of the second terminal.
 * - `text`: what the last block has printed. `…` stands for anything within a line, a line `…` for any lines.
 */
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { dirname } from "node:path"
import { environment } from "../support/server.ts"

export interface Block {
  readonly language: string
  readonly of: string
  readonly body: string
  readonly line: number
}

export const blocksOf = (page: string): ReadonlyArray<Block> =>
  [...page.matchAll(/^```(\w+)(?: (.*))?\n([^]*?)^```$/gm)].map((match) => {
    const [, language = "", of = "", body = ""] = match
    return { language, of, body, line: page.slice(0, match.index).split("\n").length }
  })

/** A pattern for what is printed. */
export const patternOf = (expected: string): RegExp =>
  new RegExp(
    `^${expected.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&").replace(/^…\n/gm, "(?:.*\\n)*?").replaceAll("…", ".*")}`
  )

const env = { ...environment, PATH: `${dirname(process.execPath)}:${environment.PATH}` }

/** The address that the page shows. The port of the test is another one. */
const shownAddress = "http://127.0.0.1:3000"

/** Reads until what was read has the pattern. */
const readUntil = (from: ChildProcess, found: RegExp): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = ""
    const done = () => {
      from.stdout?.off("data", read)
      from.off("exit", failed)
    }
    const read = (chunk: Buffer) => {
      text += chunk
      if (!found.test(text)) return
      done()
      resolve(text)
    }
    const failed = () => {
      done()
      reject(new Error(`ended after:\n${text}`))
    }
    from.stdout?.on("data", read)
    from.on("exit", failed)
  })

/** Two terminals in a folder. */
export class Terminals {
  /** Where the server is. */
  address = ""
  readonly #folder: string
  readonly #second: ChildProcess
  #server: ChildProcess | undefined

  constructor(folder: string) {
    this.#folder = folder
    this.#second = this.#spawn("bash", ["--norc"])
  }

  static readonly open = (folder: string) =>
    Effect.acquireRelease(
      Effect.sync(() => new Terminals(folder)),
      (terminals) => Effect.andThen(terminals.stop("SIGKILL"), Effect.sync(() => terminals.#second.kill("SIGKILL")))
    )

  #spawn(program: string, args: ReadonlyArray<string>, more?: Record<string, string>): ChildProcess {
    return spawn(program, args, { cwd: this.#folder, env: { ...env, ...more }, stdio: ["pipe", "pipe", "inherit"] })
  }

  /** Stops the server in the first terminal, and starts another one. Returns what it prints. */
  serve(command: string): Effect.Effect<string> {
    const start = Effect.promise(async () => {
      const PORT = this.address === "" ? "0" : new URL(this.address).port
      // The shell becomes the server, so that a signal reaches it.
      this.#server = this.#spawn("bash", ["--norc", "-c", `exec env ${command}`], { PORT })
      const said = await readUntil(this.#server, /http:\S+ .*\n/)
      this.address = /http:\/\/\S+/.exec(said)?.[0] ?? ""
      return said.replaceAll(this.address, shownAddress)
    })
    return Effect.andThen(this.stop("SIGINT"), start)
  }

  stop(signal: "SIGINT" | "SIGKILL"): Effect.Effect<void> {
    return Effect.promise(async () => {
      const server = this.#server
      this.#server = undefined
      if (server?.kill(signal) === true) await once(server, "exit")
    })
  }

  /** Executes commands in the second terminal. Returns what they print. */
  run(commands: string): Effect.Effect<string> {
    return Effect.promise(async () => {
      const end = "the end of the output"
      const said = readUntil(this.#second, new RegExp(end))
      this.#second.stdin?.write(`${commands.replaceAll(shownAddress, this.address)}\necho '${end}'\n`)
      return (await said).replace(new RegExp(`\n?${end}\n$`), "\n").replaceAll(this.address, shownAddress)
    })
  }
}
