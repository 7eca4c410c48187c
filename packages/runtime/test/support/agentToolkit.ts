/** Tools that succeed, fail, sleep, report and return unusual values, each in its own way. */
import { CurrentTask } from "@perennial/domain/CurrentTask"
import { AgentTools, TaskData, ToolProgress } from "@perennial/runtime"
import { Context, DateTime, Effect, Layer, Option, Ref, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"

class NoSuchCity extends Schema.TaggedError<NoSuchCity>()("NoSuchCity", { city: Schema.String }) {}

/** The effects of the tools, in order: `weather Oslo`, `slow call_1`, `slow interrupted`, ... */
export class Effects extends Context.Service<Effects, Ref.Ref<ReadonlyArray<string>>>()(
  "@perennial/runtime/test/support/agentToolkit/Effects"
) {
  static readonly layer = Layer.effect(Effects, Ref.make<ReadonlyArray<string>>([]))
  static readonly all = Effect.flatMap(Effects, Ref.get)
}

const city = Schema.Struct({ city: Schema.String })
const Weather = Tool.make("weather", {
  parameters: city,
  success: Schema.Struct({ degrees: Schema.Finite }),
  failure: NoSuchCity
})
const Returned = Tool.make("returned", { parameters: city, failure: NoSuchCity, failureMode: "return" })
const Slow = Tool.make("slow", { parameters: Schema.Struct({ millis: Schema.Int }), success: Schema.String })
const SafeSlow = Tool.make("safe_slow", { parameters: Schema.Struct({ millis: Schema.Int }), success: Schema.String })
  .annotate(AgentTools.SafeToRepeat, true)
const Silent = Tool.make("silent", { failure: Schema.String })
const Crash = Tool.make("crash", { success: Schema.String })
const StopsItself = Tool.make("stops_itself", { success: Schema.String })
const Read = Tool.make("read", { parameters: Schema.Struct({ bytes: Schema.Int }), success: Schema.String })
const Large = Tool.make("large", { success: Schema.String })
const Delete = Tool.make("delete", {
  parameters: Schema.Struct({ id: Schema.Int }),
  success: Schema.String,
  needsApproval: ({ id }) => id > 10
})
const Steps = Tool.make("steps", { success: Schema.String })
const Reports = Tool.make("reports", { success: Schema.String })
const Whoami = Tool.make("whoami", { success: Schema.String })
const Odd = Tool.make("odd", {
  parameters: Schema.Struct({ what: Schema.Literals(["nan", "map", "bigint", "cycle", "deep", "half"]) }),
  success: Schema.Unknown
})
const Absent = Tool.make("absent", {
  parameters: Schema.Struct({ fails: Schema.Boolean }),
  success: Schema.Struct({ a: Schema.optional(Schema.String) }),
  failure: Schema.Struct({ x: Schema.optional(Schema.String) })
})
const Dated = Tool.make("dated", { success: Schema.Struct({ at: Schema.Date }) })
const OddReports = Tool.make("odd_reports", { success: Schema.String })

export const Tools = Toolkit.make(
  Weather,
  Returned,
  Slow,
  SafeSlow,
  Silent,
  Crash,
  StopsItself,
  Read,
  Large,
  Delete,
  Steps,
  Reports,
  Whoami,
  Odd,
  Absent,
  Dated,
  OddReports
)

/** Hides the type of a value from the compiler, like untyped code. */
const untyped = (value: unknown) => value as Schema.Json

const cycle: Record<string, unknown> = {}
cycle["self"] = cycle

/** Nested arrays. */
export const nested = (levels: number): Schema.Json => {
  let json: Schema.Json = []
  for (let level = 1; level < levels; level++) json = [json]
  return json
}

/** Half of the surrogate pair of an emoji. */
export const half = "\ud83d"

const odd = {
  deep: nested(12_000),
  half: { [half]: `${half}!` },
  nan: Number.NaN,
  map: new Map([["a", 1]]),
  bigint: { n: 1n },
  cycle
}

const handlers = Effect.gen(function*() {
  const effects = yield* Effects
  const did = (what: string) => Ref.update(effects, (all) => [...all, what])
  const slow =
    (name: string) => ({ millis }: { readonly millis: number }, call: { readonly toolCallId?: string | undefined }) =>
      did(`${name} ${call.toolCallId}`).pipe(
        Effect.andThen(Effect.sleep(millis)),
        Effect.as(`slept ${millis}`),
        Effect.onInterrupt(() => did(`${name} interrupted`))
      )
  return Tools.of({
    weather: ({ city }) =>
      city === "Atlantis"
        ? Effect.fail(new NoSuchCity({ city }))
        : Effect.as(did(`weather ${city}`), { degrees: city.length }),
    returned: ({ city }) => Effect.fail(new NoSuchCity({ city })),
    slow: slow("slow"),
    safe_slow: slow("safe_slow"),
    silent: () => Effect.fail(""),
    crash: () => Effect.die(new Error("secret: boom")),
    stops_itself: () => Effect.interrupt,
    read: ({ bytes }) => Effect.succeed("x".repeat(bytes)),
    large: () => Effect.succeed("x".repeat(300 * 1024)),
    delete: ({ id }) => Effect.as(did(`delete ${id}`), `deleted ${id}`),
    steps: Effect.fnUntraced(function*(_, call) {
      for (let percent = 0; percent < 100; percent += 10) {
        yield* call.preliminary(`${percent}%`)
        yield* Effect.sleep("35 millis")
      }
      return "100%"
    }),
    reports: Effect.fnUntraced(function*() {
      yield* ToolProgress.report({ done: 1 })
      yield* ToolProgress.report({ done: 2 })
      yield* Effect.sleep("1 second")
      yield* ToolProgress.report("x".repeat(5000))
      yield* Effect.sleep("1 second")
      // The JSON has 2,002 characters and 6,002 bytes.
      yield* ToolProgress.report("€".repeat(2000))
      yield* Effect.sleep("1 second")
      return "ok"
    }),
    odd: ({ what }) => Effect.succeed(odd[what]),
    absent: ({ fails }) => fails ? Effect.fail({ x: undefined }) : Effect.succeed({ a: undefined }),
    dated: () => Effect.succeed({ at: DateTime.toDateUtc(DateTime.makeUnsafe(0)) }),
    odd_reports: Effect.fnUntraced(function*(_, call) {
      const reports = [{ a: undefined }, { n: 1n }, { late: true, map: new Map() }]
      for (const report of reports) {
        yield* ToolProgress.report(untyped(report))
        yield* Effect.sleep("1 second")
      }
      yield* call.preliminary("preliminary")
      yield* TaskData.emit("absent", untyped({ a: undefined, kept: 1 }))
      yield* TaskData.emit("bigint", untyped(1n))
      return "ok"
    }),
    whoami: () => Effect.map(CurrentTask, (task) => Option.match(task, { onNone: () => "-", onSome: (t) => t.taskId }))
  })
})

export const toolsLayer = Layer.provideMerge(Tools.toLayer(handlers), Effects.layer)
