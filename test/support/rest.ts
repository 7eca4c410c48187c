/**
 * Plain HTTP requests, without Perennial's client.
 */
import { Effect } from "effect"

export interface Answer {
  readonly status: number
  // Tests read bodies of many shapes.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any
}

type Headers = Readonly<Record<string, string>>

export const send = (method: string, url: string, body?: unknown, headers: Headers = {}): Effect.Effect<Answer> =>
  Effect.promise(async (signal) => {
    const response = await fetch(url, {
      method,
      signal,
      ...(body === undefined
        ? { headers }
        : { headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(body) })
    })
    const text = await response.text()
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text) }
  })

export const get = (url: string) => send("GET", url)

export const post = (url: string, body: unknown = {}, headers?: Headers) => send("POST", url, body, headers)

/** Starts a task, which must be accepted, and returns its id. */
export const start = (address: string, body: object, headers?: Headers): Effect.Effect<string> =>
  Effect.flatMap(
    post(`${address}/tasks`, body, headers),
    ({ body, status }) =>
      status === 201 ? Effect.succeed(body.id) : Effect.die(new Error(`${status} ${JSON.stringify(body)}`))
  )
