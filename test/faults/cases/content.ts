/**
 * P1, P8 and P11: content at the bounds of depth, size, ids and Unicode, from clients, the model and tools. What is accepted
 * arrives whole, at another process, and the task ends. What is refused is a clear 4xx, and changes nothing.
 */
import { Effect } from "effect"
import * as Clients from "../clients.ts"
import { canonical } from "../observed.ts"
import * as Plan from "../plan.ts"
import * as Requests from "../requests.ts"
import { atLeast, type Run, violated } from "../run.ts"

const kibi = 1024
const mebi = kibi * kibi
const halfEmoji = "\ud83c"

interface Fields {
  readonly message?: unknown
  readonly conversationId?: string
  readonly metadata?: unknown
  readonly userMetadata?: unknown
}

const nested = (levels: number): unknown => Plan.toValue({ levels })

/** An object of so many characters of JSON. */
const large = (characters: number) => ({ a: "x".repeat(characters - `{"a":""}`.length) })

const file = (bytes: number) => ({
  type: "file",
  mediaType: "text/plain",
  data: Buffer.alloc(bytes, "a").toString("base64")
})

const plan = (name: string, more: Partial<Plan.Plan> = {}): Plan.Plan => ({
  name,
  words: 2,
  drip: 1,
  steps: [],
  ...more
})

/** The plan as a message of so many bytes. */
const padded = (name: string, bytes: number): string => {
  const text = Plan.encode(plan(name, { note: "🌲 ж" }))
  return text + " ".repeat(bytes - Buffer.byteLength(text))
}

const parts = (name: string, ...files: ReadonlyArray<unknown>) => ({
  role: "user",
  content: [{ type: "text", text: Plan.encode(plan(name)) }, ...files]
})

/** What is just in bounds. Without a message it is the plan alone. */
const accepted: Readonly<Record<string, (name: string) => Fields & { readonly key?: string }>> = {
  text: (name) => ({ message: padded(name, 256 * kibi) }),
  file: (name) => ({ message: parts(name, file(5 * mebi)) }),
  files: (name) => ({ message: parts(name, ...Array.from({ length: 10 }, () => file(10))) }),
  depth: () => ({ metadata: { a: nested(63) }, userMetadata: { a: nested(63) } }),
  size: () => ({ metadata: large(64 * kibi), userMetadata: large(64 * kibi) }),
  id: (name) => ({ conversationId: `${name} /?#%🌲`.padEnd(200, "x") }),
  key: (name) => ({ key: name.padEnd(200, "x") }),
  unicode: (name) => ({
    message: JSON.stringify({ ...plan(name), note: "?" }).replace("?", `half ${halfEmoji} of one`),
    metadata: { [halfEmoji]: [halfEmoji, "\u0000", "🌲"] },
    userMetadata: { a: halfEmoji }
  }),
  number: () => ({ metadata: { a: Number.MAX_VALUE, b: -0.1 } })
}

/** What is just out of bounds, and the status that says so. A body may be text that is no JSON of ours. */
const refused: Readonly<Record<string, (name: string) => readonly [number, Fields | string, key?: string]>> = {
  text: (name) => [400, { message: padded(name, 256 * kibi + 1) }],
  file: (name) => [400, { message: parts(name, file(5 * mebi + 1)) }],
  files: (name) => [400, { message: parts(name, ...Array.from({ length: 11 }, () => file(10))) }],
  empty: () => [400, { message: " " }],
  depth: () => [400, { metadata: { a: nested(64) } }],
  userDepth: () => [400, { userMetadata: { a: nested(64) } }],
  abyss: (
    name
  ) => [
    400,
    `{"conversationId":"${name}","message":"m","metadata":{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}}`
  ],
  size: () => [400, { metadata: large(64 * kibi + 1) }],
  userSize: () => [400, { userMetadata: large(64 * kibi + 1) }],
  id: (name) => [400, { conversationId: name.padEnd(201, "x") }],
  idControl: (name) => [400, { conversationId: `${name}\u0000` }],
  idHalf: (name) => [400, { conversationId: `${name}${halfEmoji}` }],
  idEmpty: () => [400, { conversationId: "" }],
  key: (name) => [400, {}, name.padEnd(201, "x")],
  number: (name) => [400, `{"conversationId":"${name}","message":"m","metadata":{"a":1e400}}`],
  json: (name) => [400, `{"conversationId":"${name}","message":"m"`],
  body: (name) => [413, `{"conversationId":"${name}","message":"${"x".repeat(8 * mebi)}"}`]
}

const startWith = (name: string, body: Fields | string, key = name): Requests.Request => ({
  method: "POST",
  path: "/tasks",
  headers: { "content-type": "application/json", "idempotency-key": key },
  body: typeof body === "string"
    ? body
    : JSON.stringify({ message: Plan.encode(plan(name)), conversationId: name, ...body })
})

/** What was sent, as it is kept: halves of surrogate pairs are U+FFFD. */
const kept = (value: unknown): string => canonical(JSON.parse(JSON.stringify(value).replaceAll("\\ud83c", "\ufffd")))

const partsOf = (message: unknown) =>
  typeof message === "string" ? { role: "user", content: [{ type: "text", text: message }] } : message

const accept = Effect.fnUntraced(function*(run: Run, kind: string, i: number) {
  const { slots } = run.world
  const name = `content-${kind}`
  const fields: ReturnType<typeof accepted[string]> = accepted[kind]?.(name) ?? {}
  const { key, ...body } = fields
  const { conversationId = name, message = Plan.encode(plan(name)), metadata = {}, userMetadata } = body
  const started = yield* Requests.insist(run, startWith(name, body, key), slots[i % slots.length])
  const taskId = started.body.id
  if (started.status !== 201 || taskId === undefined) {
    return yield* violated(run, "P11", `${kind} in bounds was answered with ${started.status} ${started.body.detail}`)
  }
  run.accepted.push({ taskId, ends: ["done"], plan: plan(name), undisturbed: false })
  const watching = yield* Clients.watch(run, taskId, name)
  yield* watching.ended
  const other = slots[(i + 1) % slots.length]
  const get = (path: string) => Requests.insist(run, { method: "GET", path }, other)
  const task = yield* get(`/tasks/${taskId}`)
  const messages = yield* get(`/conversations/${encodeURIComponent(conversationId)}/messages`)
  const first = messages.body.items?.[0]
  const found = { metadata: task.body.metadata ?? {}, message: first?.message, userMetadata: first?.metadata }
  if (canonical(found) === kept({ metadata, message: partsOf(message), userMetadata })) run.content.accepted++
  else yield* violated(run, "P1", `${kind} in bounds was accepted, and did not arrive as it was sent`)
})

const refuse = Effect.fnUntraced(function*(run: Run, kind: string, i: number) {
  const { slots } = run.world
  const name = `content-refused-${kind}`
  const [due, body, key] = refused[kind]?.(name) ?? [0, {}]
  const at = slots[i % slots.length]
  const { body: { detail = "" }, status } = yield* Requests.insist(run, startWith(name, body, key), at)
  // A conversation that the start may have made all the same; a task of it would be found by the checker.
  const made = yield* Requests.insist(run, { method: "GET", path: `/conversations/${name}` }, at)
  if (status === due && detail !== "" && made.status === 404) run.content.refused++
  else {
    const what = `${kind} out of bounds was answered with ${status} "${
      detail.slice(0, 200)
    }", ${due} and a reason were due`
    yield* violated(run, "P11", made.status === 404 ? what : `${what}; its conversation is there`)
  }
})

type Call = Partial<Plan.Plan["steps"][number][number]>

/** Calls of the model, and whether they are executed and have their result. */
const calls: Readonly<Record<string, { readonly call: Call; readonly status: "completed" | "error" }>> = {
  // The arguments are an object around the value.
  "arguments-depth": { call: { value: { levels: 63 } }, status: "completed" },
  "arguments-too-deep": { call: { value: { levels: 64 } }, status: "error" },
  "arguments-abyss": { call: { value: { levels: 5_000 } }, status: "error" },
  "arguments-size": { call: { value: { characters: 250 * kibi } }, status: "completed" },
  "arguments-too-large": { call: { value: { characters: 256 * kibi } }, status: "error" },
  "arguments-number": { call: { value: { json: "1e308" } }, status: "completed" },
  "arguments-number-too-large": { call: { value: { json: "1e400" } }, status: "error" },
  "arguments-unicode": { call: { value: { json: `{"\\ud83c":["\\ud83c","\\u0000","🌲"]}` } }, status: "completed" },
  "result-depth": { call: { result: { levels: 64 } }, status: "completed" },
  "result-too-deep": { call: { result: { levels: 65 } }, status: "error" },
  "result-abyss": { call: { result: { levels: 5_000 } }, status: "error" },
  "result-size": { call: { result: { characters: 250 * kibi } }, status: "completed" },
  "result-too-large": { call: { result: { characters: 256 * kibi } }, status: "error" },
  "result-unicode": { call: { result: { json: `{"\\ud83c":["\\ud83c","\\u0000","🌲"]}` } }, status: "completed" },
  "id-longest": { call: { id: "x".repeat(128) }, status: "completed" },
  // Such ids are replaced.
  "id-too-long": { call: { id: "x".repeat(129) }, status: "completed" },
  "id-half": { call: { id: `x${halfEmoji}` }, status: "completed" },
  "id-empty": { call: { id: "" }, status: "completed" }
}

interface SeenEvent {
  readonly type: string
  readonly args?: { readonly value: unknown }
  readonly result?: unknown
  readonly status?: string
}

const ofModel = Effect.fnUntraced(function*(run: Run) {
  const name = "content-calls"
  const all = Object.entries(calls)
  const steps = all.map(([, { call }]) => [{ tool: "echo" as const, millis: 0, ...call }])
  const id = yield* Clients.start(run, plan(name, { steps }))
  const watching = yield* Clients.watch(run, id, name)
  yield* watching.ended
  const events = watching.reading.seen.map(({ data }): SeenEvent => JSON.parse(data))
  const results = events.filter(({ type }) => type === "tool_result")
  const entered = events.filter(({ type }) => type === "tool_call")
  for (const [i, [kind, { call, status }]] of all.entries()) {
    const found = results[i]
    const { result, value } = { result: { json: "1" }, value: { json: "1" }, ...call }
    const isArguments = kind.startsWith("arguments-")
    // What was refused before it was entered has no event of the call.
    const args = isArguments && status === "error" ? undefined : entered.shift()
    const arrived = status === "error" ||
      canonical(found?.result) === kept(Plan.toValue(result)) &&
        canonical(args?.args?.value) === kept(Plan.toValue(value))
    if (found?.status !== status || !arrived) {
      yield* violated(
        run,
        "P11",
        `${kind} of a call: ${found?.status}, ${status} was due${arrived ? "" : ", and other content"}`
      )
    } else if (status === "error") run.content.refused++
    else run.content.accepted++
  }
  // The history is one that can be answered.
  const next = yield* Clients.start(run, plan(`${name}-next`), { conversationId: name })
  yield* Effect.flatMap(Clients.watch(run, next, `${name}-next`), ({ ended }) => ended)
})

/** A key that was used for something else. */
const conflict = Effect.fnUntraced(function*(run: Run) {
  const name = "content-conflict"
  const first = yield* Clients.start(run, plan(name))
  const { status } = yield* Requests.insist(run, startWith(name, { metadata: { a: "another body" } }))
  if (status === 422) run.content.refused++
  else yield* violated(run, "P11", `a key that was used for another body was answered with ${status}`)
  yield* Effect.flatMap(Clients.watch(run, first, name), ({ ended }) => ended)
})

export const content = Effect.fnUntraced(function*(run: Run) {
  const statuses = Object.values(calls).map(({ status }) => status)
  const errors = statuses.filter((status) => status === "error").length
  yield* atLeast(run, {
    "content at a bound that was accepted": Object.keys(accepted).length + statuses.length - errors,
    "content over a bound that was refused": Object.keys(refused).length + errors + 1
  })
  const all = [
    ...Object.keys(accepted).map((kind, i) => accept(run, kind, i)),
    ...Object.keys(refused).map((kind, i) => refuse(run, kind, i)),
    ofModel(run),
    conflict(run)
  ]
  yield* Effect.all(all, { concurrency: 4, discard: true })
})
