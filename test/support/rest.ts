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

export const send = (method: string, url: string, body?: unknown): Effect.Effect<Answer> =>
  Effect.promise(async (signal) => {
    const response = await fetch(url, {
      method,
      signal,
      ...(body === undefined
        ? {}
        : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) })
    })
    const text = await response.text()
    return { status: response.status, body: text === "" ? undefined : JSON.parse(text) }
  })

export const get = (url: string) => send("GET", url)

export const post = (url: string, body: unknown = {}) => send("POST", url, body)

/** Starts a task, which must be accepted, and returns its id. */
export const start = (address: string, body: object): Effect.Effect<string> =>
  Effect.flatMap(
    post(`${address}/tasks`, body),
    ({ body, status }) =>
      status === 201 ? Effect.succeed(body.id) : Effect.die(new Error(`${status} ${JSON.stringify(body)}`))
  )
