/** Every bound on what a request may hold or ask for, and the answer above it: the table of docs/http.md. */
import { assert, describe, it } from "@effect/vitest"
import * as NodeWebhookClient from "@perennial/http/NodeWebhookClient"
import { Effect, Layer } from "effect"
import { layerLocal, makeCall, post, problem } from "./support.ts"

const start = (change: object, headers?: Record<string, string>) =>
  ["/tasks", post({ message: "a", ...change }, headers)] as const

/** Arrays in arrays. */
const nested = (levels: number): unknown => levels === 0 ? 1 : [nested(levels - 1)]

const x = (length: number) => "x".repeat(length)

const lists = {
  "/tasks": 100,
  "/conversations": 100,
  "/approvals": 100,
  "/operator/users/local/tasks": 100,
  "/tasks/t1/events": 1_000,
  "/conversations/c1/messages": 1_000,
  "/webhooks/w1/deliveries": 1_000
}

/** Each request is one step above its bound. */
const requests: ReadonlyArray<
  readonly [name: string, request: readonly [path: string, init?: RequestInit], status?: number]
> = [
  ["a body", start({ message: x(9_000_000) }), 413],
  ["the text of a message", start({ message: x(256 * 1024 + 1) })],
  ["`metadata`", start({ metadata: { a: x(65_529) } })],
  ["`userMetadata`", start({ userMetadata: { a: x(65_529) } })],
  ["the depth of JSON", start({ metadata: { a: nested(64) } })],
  ["an id", start({ conversationId: x(201) })],
  ["an idempotency key", start({}, { "idempotency-key": x(201) })],
  ["the reason of a cancel", ["/tasks/t1/cancel", post({ reason: x(1_001) })]],
  ["the reason of a decision", ["/tasks/t1/decisions/call-1", post({ approved: false, reason: x(1_001) })]],
  ["`args` of a decision", ["/tasks/t1/decisions/call-1", post({ approved: true, args: { a: x(65_529) } })]],
  ["the URL of a webhook", ["/webhooks", post({ url: `https://example.com/${x(1_981)}` })]],
  ...Object.entries(lists).flatMap(([path, most]) => [
    [`a page of ${path}`, [`${path}?limit=${most + 1}`]] as const,
    [`no page of ${path}`, [`${path}?limit=0`]] as const
  ])
]

describe("a request above a bound", () => {
  for (const [name, [path, init], status = 400] of requests) {
    it.live(`${name} is answered ${status}`, () =>
      Effect.gen(function*() {
        const call = yield* makeCall({ auth: Layer.merge(layerLocal, NodeWebhookClient.layer()) })
        const response = yield* call(path, init)
        const { type } = yield* problem(response)
        assert.deepStrictEqual(
          [response.status, type.replace("urn:perennial:problem:", "")],
          [status, status === 413 ? "payload-too-large" : "invalid-request"]
        )
      }))
  }
})
