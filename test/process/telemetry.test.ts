import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Effect, Layer } from "effect"
import * as Collector from "../support/otlpCollector.ts"
import * as Server from "../support/server.ts"
import * as Sse from "../support/sse.ts"
import { directory } from "../support/stores.ts"

const layer = Layer.merge(FakeAnthropic.layer, NodeServices.layer)

const secret = "SECRET"

const callWait = (id: string, seconds: number) => ({
  actions: [{ text: [`${secret} waits.`] }, { toolUse: { id, name: "wait", input: { seconds } } }]
})

describe("telemetry of a server", () => {
  it.live(
    "the trace of a task that was killed twice is one tree, from the request to the end, without contents",
    () =>
      Effect.gen(function*() {
        const { collector, url } = yield* Collector.listen
        const fake = yield* FakeAnthropic
        const env = {
          PERENNIAL_STORE: `sqlite:${yield* directory}/test.db`,
          PERENNIAL_OTLP: url,
          PERENNIAL_TOKENS: `alice:${secret}-alice,root:${secret}-root`,
          PERENNIAL_OPERATORS: "root",
          PERENNIAL_LOG_LEVEL: "debug",
          ANTHROPIC_API_KEY: secret,
          ANTHROPIC_BASE_URL: fake.url,
          PERENNIAL_MODEL: "claude-test"
        }
        // Two processes die during the second call, which is repeated. It is long enough for a busy machine.
        yield* fake.push(callWait("call_1", 0), callWait("call_2", 12), { actions: [{ text: [`${secret} is done.`] }] })
        const authorization = { authorization: `Bearer ${secret}-alice` }
        const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"
        const a = yield* Server.start({ env })
        const response = yield* Effect.promise((signal) =>
          fetch(`${a.address}/tasks`, {
            method: "POST",
            headers: {
              ...authorization,
              "content-type": "application/json",
              traceparent: `00-${traceId}-00f067aa0ba902b7-01`
            },
            body: JSON.stringify({ message: secret }),
            signal
          })
        )
        assert.strictEqual(response.status, 201)
        const id = response.headers.get("location")?.split("/").at(-1)
        const events = `/tasks/${id}/events?access_token=${secret}-alice`
        const untilCalled = (address: string, attempt: number) =>
          Effect.scoped(Effect.flatMap(Sse.connect(`${address}${events}`), (reader) => {
            let resumed = 1
            return Sse.readUntil(reader, ({ data }) => {
              if (data.type === "resumed") resumed++
              return data.type === "tool_call" && data["toolCallId"] === "call_2" && resumed === attempt
            })
          }))
        const exported = (name: string, process: number, count = 1) =>
          collector.span(() =>
            collector.spans.filter((span) => span.name === name && span.process === String(process)).length >= count
          )

        yield* untilCalled(a.address, 1)
        yield* exported("chat claude-test", a.pid, 2)
        yield* a.kill
        const b = yield* Server.start({ env, port: a.port })
        yield* untilCalled(b.address, 2)
        yield* exported("invoke_agent evergreen", b.pid)
        yield* b.kill
        const c = yield* Server.start({ env, port: a.port })
        yield* exported("task evergreen", c.pid)
        const tree = collector.tree(traceId, [a.pid, b.pid, c.pid].map(String))
        assert.deepStrictEqual(tree, [
          "POST [A]",
          "  TaskManager.start [A]",
          "    task evergreen [C]",
          "      task.queue [A]",
          "      invoke_agent evergreen [B] process_died",
          "        chat claude-test [A]",
          "        execute_tool wait [A]",
          "        chat claude-test [A]",
          "        execute_tool wait [B] process_died",
          "      invoke_agent evergreen [C] process_died",
          "        execute_tool wait [C] process_died",
          "      invoke_agent evergreen [C]",
          "        execute_tool wait [C]",
          "        chat claude-test [C]"
        ])
        const chat = collector.spans.find(({ name }) => name === "chat claude-test")
        assert.includeDeepMembers(chat?.attributes.map(({ key, value }) => [key, value.stringValue]) ?? [], [
          ["gen_ai.operation.name", "chat"],
          ["gen_ai.provider.name", "anthropic"],
          ["gen_ai.request.model", "claude-test"]
        ])

        // The last process sends the span of this request, at the latest when it ends.
        assert.strictEqual((yield* Sse.read(`${c.address}${events}`)).events.at(-1)?.data.type, "done")

        const metrics = (user: string | undefined) =>
          Effect.promise(async (signal) => {
            const headers = user === undefined ? {} : { authorization: `Bearer ${secret}-${user}` }
            const answer = await fetch(`${c.address}/metrics`, { headers, signal })
            return { status: answer.status, text: await answer.text() }
          })
        assert.strictEqual((yield* metrics(undefined)).status, 401)
        assert.strictEqual((yield* metrics("alice")).status, 403)
        const { status, text } = yield* metrics("root")
        assert.strictEqual(status, 200)
        for (
          const line of [
            `perennial_task_attempts_total{gen_ai_agent_id="evergreen",perennial_attempt_kind="owner_died"} 1`,
            `perennial_tasks_ended_total{gen_ai_agent_id="evergreen",perennial_task_status="completed"} 1`,
            `perennial_tool_duration_seconds_count{gen_ai_tool_name="wait",perennial_tool_status="completed"} 1`,
            `http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="403"} 1`
          ]
        ) assert.include(text, `${line}\n`)

        assert.strictEqual(yield* c.terminate, 0)
        const logs = collector.bodies.filter((body) => body.includes("resourceLogs")).join()
        assert.include(logs, traceId)
        assert.include(logs, `{"key":"userId","value":{"stringValue":"alice"}}`)
        assert.isNotEmpty(collector.bodies.filter((body) => body.includes("resourceMetrics")))
        assert.include(collector.bodies.join(), "access_token=REDACTED")
        assert.notInclude([...collector.bodies, text].join(), secret)
      }).pipe(Effect.scoped, Effect.provide(layer))
  )
})
