import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { join } from "node:path"
import * as Server from "../support/server.ts"
import { directory } from "../support/stores.ts"

interface Request {
  readonly method?: string
  readonly path: string
  readonly token?: string | undefined
  readonly headers?: Record<string, string>
  readonly body?: string
}

const json = { "content-type": "application/json" }
const message = (text: string) => JSON.stringify({ message: text })

const call = (address: string, { body, headers, method = "GET", path, token = "secret1" }: Request) =>
  Effect.promise(async (signal) => {
    const response = await fetch(`${address}${path}`, {
      method,
      signal,
      headers: { ...(token === "" ? {} : { authorization: `Bearer ${token}` }), ...headers },
      ...(body === undefined ? {} : { body })
    })
    const text = await response.text()
    return { status: response.status, type: response.headers.get("content-type"), text }
  })

const post = (body: string, headers: Record<string, string> = json): Request => ({
  method: "POST",
  path: "/tasks",
  headers,
  body
})

/** Each case has a name, a request, the status of the answer, and a word that the answer must contain. */
const cases = (alices: string): ReadonlyArray<readonly [string, Request, number, string]> => [
  ["an empty message", post(message("")), 400, "message"],
  ["a message of blanks", post(message(" \n")), 400, "message"],
  ["a message over 256 KiB", post(message("x".repeat(256 * 1024 + 1))), 400, "262144"],
  ["a body over 8 MiB", post(message("x".repeat(8 * 1024 * 1024))), 413, "8388608"],
  [
    "a file that is not base64",
    post(
      "{\"message\":{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"mediaType\":\"image/png\",\"data\":\"?\"}]}}"
    ),
    400,
    "RFC 4648"
  ],
  ["malformed JSON", post("{\"message\":"), 400, "JSON"],
  ["a message of a wrong type", post("{\"message\":7}"), 400, "message"],
  ["an unknown policy", post("{\"message\":\"x\",\"onBusy\":\"queue\"}"), 400, "onBusy"],
  ["an unknown agent", post("{\"message\":\"x\",\"agentId\":\"nobody\"}"), 422, "nobody"],
  ["a body of another type", post("message=x", { "content-type": "text/plain" }), 415, "application/json"],
  ["an unknown task", { path: "/tasks/nothing" }, 404, "nothing"],
  ["another user's task", { path: `/tasks/${alices}`, token: "secret2" }, 404, alices],
  ["another user's events", { path: `/tasks/${alices}/events`, token: "secret2" }, 404, alices],
  ["another user's cancel", { method: "POST", path: `/tasks/${alices}/cancel`, token: "secret2" }, 404, alices],
  ["another user's conversation", { path: "/conversations/c1/messages", token: "secret2" }, 404, "c1"],
  [
    "a start in another user's conversation",
    {
      ...post("{\"message\":\"x\",\"conversationId\":\"c1\"}"),
      token: "secret2"
    },
    404,
    "c1"
  ],
  ["a cursor beyond the log", { path: `/tasks/${alices}/events?after=99999` }, 422, "99999"],
  [
    "a cursor that is not a number",
    { path: `/tasks/${alices}/events`, headers: { "last-event-id": "x" } },
    400,
    "last-event-id"
  ],
  ["a wrong method", { method: "PUT", path: "/tasks" }, 405, "PUT"],
  ["an unknown path", { path: "/nowhere" }, 404, "/nowhere"],
  ["a wrong token", { path: "/tasks", token: "wrong" }, 401, "Bearer"],
  ["no token", { path: "/tasks", token: "" }, 401, "Bearer"]
]

describe("bad input", () => {
  it.live("is answered with a problem that names the mistake, and nothing is stored", () =>
    Effect.gen(function*() {
      const { address } = yield* Server.start({
        env: {
          PERENNIAL_STORE: `sqlite:${join(yield* directory, "test.db")}`,
          PERENNIAL_TOKENS: "alice:secret1,bob:secret2"
        }
      })
      const started = yield* call(address, post("{\"message\":\"Hello\",\"conversationId\":\"c1\"}"))
      assert.strictEqual(started.status, 201, started.text)
      const { id } = JSON.parse(started.text)
      yield* call(address, { method: "POST", path: `/tasks/${id}/cancel` })
      const stored = Effect.forEach(
        ["secret1", "secret2"].flatMap((token) => ["/tasks", "/conversations"].map((path) => ({ path, token }))),
        (request) => Effect.map(call(address, request), ({ text }) => text)
      )
      const before = yield* stored
      for (const [what, request, status, word] of cases(id)) {
        const answer = yield* call(address, request)
        assert.strictEqual(answer.status, status, `${what}: ${answer.text}`)
        assert.include(answer.type ?? "", "application/problem+json", what)
        const problem = JSON.parse(answer.text)
        assert.strictEqual(problem.status, status, what)
        assert.include(problem.detail, word, what)
        assert.notInclude(problem.detail, "\n", what)
      }
      assert.deepStrictEqual(yield* stored, before)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
