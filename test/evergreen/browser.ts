/**
 * A page in a real Chromium. Tests control it through the debugging protocol of Chromium.
 */
import { Effect, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { existsSync } from "node:fs"

const names = ["chromium", "chromium-browser", "google-chrome"]
const executable = (process.env["PATH"] ?? "").split(":")
  .flatMap((directory) => names.map((name) => `${directory}/${name}`))
  .find((file) => existsSync(file))

export const isInstalled = executable !== undefined

export interface Page {
  readonly open: (url: string) => Effect.Effect<void>
  readonly reload: Effect.Effect<void>
  /** The value of an expression. A promise is awaited. */
  readonly evaluate: (expression: string) => Effect.Effect<unknown>
  /** Waits until the page contains the text. */
  readonly see: (text: string) => Effect.Effect<void>
}

interface Target {
  readonly type: string
  readonly webSocketDebuggerUrl: string
}

interface Answer {
  readonly id?: number
  readonly method?: string
  readonly result?: { readonly result?: { readonly value?: unknown }; readonly exceptionDetails?: unknown }
}

const connect = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(() =>
      new Promise<WebSocket>((resolve, reject) => {
        const socket = new WebSocket(url)
        socket.addEventListener("open", () => resolve(socket))
        socket.addEventListener("error", () => reject(new Error("no connection to Chromium")))
      })
    ),
    (socket) => Effect.sync(() => socket.close())
  )

export const launch = Effect.gen(function*() {
  const profile = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
  const handle = yield* ChildProcess.make(executable ?? "chromium", [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--remote-debugging-port=0",
    `--user-data-dir=${profile}`,
    "about:blank"
  ])
  const line = yield* handle.all.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.filter((line) => line.startsWith("DevTools listening on ")),
    Stream.runHead
  )
  const port = /:(\d+)\//.exec(line._tag === "Some" ? line.value : "")?.[1] ?? "0"
  const targets = yield* Effect.promise(async (): Promise<ReadonlyArray<Target>> =>
    (await fetch(`http://127.0.0.1:${port}/json/list`)).json() as Promise<ReadonlyArray<Target>>
  )
  const socket = yield* connect(targets.find(({ type }) => type === "page")?.webSocketDebuggerUrl ?? "")

  const pending = new Map<number, (answer: Answer) => void>()
  let onLoad: (() => void) | undefined
  let ids = 0
  socket.addEventListener("message", ({ data }) => {
    const answer: Answer = JSON.parse(String(data))
    if (answer.id !== undefined) pending.get(answer.id)?.(answer)
    else if (answer.method === "Page.loadEventFired") onLoad?.()
  })
  const send = (method: string, params: object = {}) =>
    Effect.callback<Answer>((resume) => {
      const id = ++ids
      pending.set(id, (answer) => resume(Effect.succeed(answer)))
      socket.send(JSON.stringify({ id, method, params }))
    })
  const loaded = (method: string, params: object) =>
    Effect.andThen(
      Effect.callback<void>((resume) => {
        onLoad = () => resume(Effect.void)
        ids += 1
        socket.send(JSON.stringify({ id: ids, method, params }))
      }),
      Effect.sync(() => (onLoad = undefined))
    )

  const evaluate = (expression: string) =>
    Effect.flatMap(
      send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true }),
      ({ result }) =>
        result?.exceptionDetails === undefined
          ? Effect.succeed(result?.result?.value)
          : Effect.die(new Error(JSON.stringify(result.exceptionDetails)))
    )
  yield* send("Page.enable")
  return {
    open: (url) => loaded("Page.navigate", { url }),
    reload: loaded("Page.reload", {}),
    evaluate,
    see: (text) =>
      Effect.asVoid(evaluate(`new Promise((resolve) => {
        const look = () => document.body.innerText.includes(${JSON.stringify(text)}) && resolve()
        new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true })
        look()
      })`))
  } satisfies Page
})
