/**
 * Calls between the benchmark and the processes that it measures, over the IPC channel of Node.js.
 */
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"

/** Milliseconds of a clock that all processes of the machine share. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6

// A handler takes a JSON value, and returns a JSON value.
export type Handlers = { readonly [name: string]: (argument: never) => unknown }

interface Call {
  readonly id: number
  readonly name: string
  readonly argument: unknown
}

interface Reply {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}

/** Answers the calls of the parent, and exits when the parent has disconnected or ended. */
export const serve = (handlers: Handlers): void => {
  process.on("message", async ({ argument, id, name }: Call) => {
    const reply = (message: Omit<Reply, "id">) => process.send?.({ id, ...message })
    try {
      const handler = handlers[name]
      if (handler === undefined) throw new Error(`no handler "${name}"`)
      reply({ value: await handler(argument as never) })
    } catch (error) {
      reply({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    }
  })
  process.on("disconnect", () => process.exit(0))
  process.send?.({ id: 0 })
}

/** A child process and its handlers. */
export interface Child<H extends Handlers> extends AsyncDisposable {
  readonly call: <Name extends keyof H & string>(
    name: Name,
    ...argument: Parameters<H[Name]>
  ) => Promise<Awaited<ReturnType<H[Name]>>>
  /** Sends SIGTERM, and returns when the process has ended. */
  readonly terminate: () => Promise<void>
}

/** Starts a module of this folder as a process, and returns when it is ready for calls. */
export const spawn = async <H extends Handlers>(
  module: string,
  options: { readonly env?: Record<string, string>; readonly exposeGc?: boolean } = {}
): Promise<Child<H>> => {
  const child: ChildProcess = fork(fileURLToPath(new URL(module, import.meta.url)), {
    execArgv: options.exposeGc === true ? ["--expose-gc"] : [],
    env: { ...process.env, ...options.env },
    serialization: "json"
  })
  const pending = new Map<number, PromiseWithResolvers<unknown>>()
  const ready = Promise.withResolvers<void>()
  const exited = Promise.withResolvers<void>()
  child.on("message", (reply: Reply) => {
    if (reply.id === 0) return ready.resolve()
    const call = pending.get(reply.id)
    pending.delete(reply.id)
    if (reply.error === undefined) call?.resolve(reply.value)
    else call?.reject(new Error(`${module}: ${reply.error}`))
  })
  child.on("exit", (code) => {
    const error = new Error(`${module} ended with ${code}`)
    ready.reject(error)
    for (const call of pending.values()) call.reject(error)
    exited.resolve()
  })
  await ready.promise
  let calls = 0
  return {
    call: (name, ...[argument]) => {
      const call = Promise.withResolvers<unknown>()
      const id = ++calls
      pending.set(id, call)
      child.send({ id, name, argument } satisfies Call)
      // The child is a module of this folder, and its type `H` describes what its handler returns.
      return call.promise as Promise<never>
    },
    terminate: () => {
      child.kill("SIGTERM")
      return exited.promise
    },
    [Symbol.asyncDispose]: () => {
      if (child.connected) child.disconnect()
      return exited.promise
    }
  }
}
