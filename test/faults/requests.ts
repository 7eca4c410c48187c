/**
 * Requests to any process, dead ones too, repeated until they are answered.
 */
import { Duration, Effect, Option, Random } from "effect"
import * as Page from "./page.ts"
import type { Run } from "./run.ts"
import type { Slot } from "./world.ts"

/** How a client reaches a server: as a program beside it, or as a page of a browser, through the proxy before it. */
export type Route = "direct" | "proxied"

export const addressOf = ({ address, proxy }: Slot, route: Route = "direct"): string =>
  route === "direct" ? address : proxy.address

export interface Answer {
  readonly status: number
  readonly body: {
    readonly id?: string
    readonly conversationId?: string
    readonly status?: string
    readonly activeTaskId?: string
    readonly detail?: string
    readonly metadata?: unknown
    readonly items?: ReadonlyArray<{ readonly message: unknown; readonly metadata?: unknown }>
  }
}

export interface Request {
  readonly method: "GET" | "POST"
  readonly path: string
  readonly headers?: Page.Headers
  readonly body?: string
  readonly route?: Route | undefined
}

/** How long a client waits for most answers. */
const patience = "4 seconds"

/** One try; none when it was not answered in time. */
export const attempt = (
  at: Slot,
  { body, headers, method, path, route = "direct" }: Request,
  within: Duration.Input = patience
) =>
  Effect.tryPromise(async (signal): Promise<Answer> => {
    const credentials = route === "direct" ? Page.ofProgram : Page.ofPage()
    const response = await fetch(`${addressOf(at, route)}${path}`, {
      method,
      signal,
      headers: { ...credentials, ...headers },
      body: body ?? null
    })
    const text = await response.text()
    return { status: response.status, body: text === "" ? {} : JSON.parse(text) }
  }).pipe(Effect.timeout(within), Effect.option)

/** Whether a process says that it is ready. */
export const isReady = (at: Slot) =>
  Effect.map(
    attempt(at, { method: "GET", path: "/ready" }),
    (answer) => Option.isSome(answer) && answer.value.status < 300
  )

const isFinal = (answer: Option.Option<Answer>): answer is Option.Some<Answer> =>
  Option.isSome(answer) && answer.value.status < 500 && answer.value.status !== 429

export const someSlot = (run: Run) => Effect.map(Random.shuffle(run.world.slots), ([slot]) => slot as Slot)

/** Asks one process, then any, until the answer is one. */
export const insist = Effect.fnUntraced(function*(run: Run, request: Request, first?: Slot, within?: Duration.Input) {
  for (let slot = first ?? (yield* someSlot(run));; slot = yield* someSlot(run)) {
    const answer = yield* attempt(slot, request, within)
    if (isFinal(answer)) return answer.value
    yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(50, 250)))
  }
})
