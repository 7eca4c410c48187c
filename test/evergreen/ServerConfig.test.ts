import { assert, describe, it } from "@effect/vitest"
import { format } from "@perennial/backends/StoreSetting"
import * as SettingNames from "@perennial/http/SettingNames"
import { ConfigProvider, Duration, Effect, Option, Redacted } from "effect"
import { readFileSync } from "node:fs"
import { load } from "../../examples/evergreen/src/ServerConfig.ts"

const loadFrom = (environment: Record<string, string>) =>
  load.pipe(Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment)))

const none = { apiKey: Option.none(), baseUrl: Option.none() }

const clustered = {
  PERENNIAL_ENGINE: "cluster",
  PERENNIAL_STORE: "postgres://db.example/perennial",
  PERENNIAL_RUNNER_ADDRESS: "10.0.0.7:24431"
}

describe("ServerConfig", () => {
  it.effect("needs no variable", () =>
    Effect.gen(function*() {
      const config = yield* loadFrom({})
      assert.deepStrictEqual(config, {
        host: "127.0.0.1",
        port: 3000,
        publicUrl: undefined,
        maxStreams: undefined,
        maxUserStreams: 1_000,
        maxRequests: 3_000,
        maxActiveTasks: 1_000,
        faces: ["ai-sdk", "openai", "ag-ui", "a2a", "langgraph", "mcp"],
        operators: [],
        jwt: Option.none(),
        store: { type: "sqlite", path: ".perennial/perennial.db" },
        execute: true,
        engine: { type: "local" },
        ticketSecret: undefined,
        tokens: [],
        retention: Option.some(Duration.days(30)),
        webhook: { url: Option.none(), secrets: [], allowPrivate: false },
        log: { level: "Info", format: "text" },
        telemetry: {
          metrics: true,
          otlp: Option.none(),
          headers: Redacted.make({}),
          traceRatio: 1,
          tracesPerSecond: 50
        },
        model: {
          model: { provider: "anthropic", name: "claude-opus-5-5", setting: "PERENNIAL_MODEL=claude-opus-5-5" },
          fallbacks: [],
          connections: { anthropic: none, openai: none, google: none, ollama: none },
          script: Option.none()
        }
      })
      assert.deepStrictEqual(yield* loadFrom({ PORT: "", HOST: " ", PERENNIAL_TOKENS: "" }), config)
    }))

  it.effect("reads every variable", () =>
    Effect.gen(function*() {
      const config = yield* loadFrom({
        HOST: "0.0.0.0",
        PORT: "0",
        PERENNIAL_PUBLIC_URL: "https://example.com/agents",
        PERENNIAL_MAX_STREAMS: "20000",
        PERENNIAL_MAX_USER_STREAMS: "20",
        PERENNIAL_MAX_REQUESTS: "unlimited",
        PERENNIAL_MAX_ACTIVE_TASKS: "50",
        PERENNIAL_FACES: "ag-ui, openai",
        PERENNIAL_STORE: "memory",
        PERENNIAL_EXECUTE: "false",
        PERENNIAL_TOKENS: "alice:secret1,bob:secret2",
        PERENNIAL_MODEL: "claude-haiku-5-5",
        PERENNIAL_FALLBACK_MODELS: "openai:gpt-5.5, google:gemini-3-pro,ollama:qwen3:8b",
        PERENNIAL_SCRIPT: "demo.txt",
        PERENNIAL_RETENTION: "90 minutes",
        PERENNIAL_WEBHOOK_URL: "http://127.0.0.1:8080/hook",
        PERENNIAL_WEBHOOK_SECRETS: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        PERENNIAL_WEBHOOK_PRIVATE: "true",
        PERENNIAL_LOG_LEVEL: "WARN",
        PERENNIAL_LOG_FORMAT: "json",
        PERENNIAL_METRICS: "false",
        PERENNIAL_OTLP: "http://127.0.0.1:4318",
        PERENNIAL_OTLP_HEADERS: "authorization=Bearer hunter2, x-scope=acme",
        PERENNIAL_TRACE_RATIO: "0.1",
        PERENNIAL_TRACES_PER_SECOND: "200",
        ANTHROPIC_API_KEY: "key",
        ANTHROPIC_BASE_URL: "http://127.0.0.1:4000/",
        OPENAI_API_KEY: "key-2",
        OPENAI_BASE_URL: "http://127.0.0.1:4001/v1/",
        GOOGLE_GENERATIVE_AI_API_KEY: "key-3",
        GOOGLE_GENERATIVE_AI_BASE_URL: "http://127.0.0.1:4002/v1beta",
        OLLAMA_API_KEY: "key-4",
        OLLAMA_BASE_URL: "http://127.0.0.1:4003/v1"
      })
      assert.deepStrictEqual(
        config.tokens.map(({ secret, userId }) => `${userId}:${Redacted.value(secret)}`),
        ["alice:secret1", "bob:secret2"]
      )
      assert.strictEqual(config.publicUrl, "https://example.com/agents")
      assert.strictEqual(config.maxStreams, 20_000)
      assert.isFalse(config.execute)
      assert.deepStrictEqual(config.faces, ["ag-ui", "openai"])
      assert.deepStrictEqual((yield* loadFrom({ PERENNIAL_FACES: "none" })).faces, [])
      assert.strictEqual(config.maxRequests, undefined)
      assert.strictEqual(config.maxUserStreams, 20)
      assert.strictEqual(config.maxActiveTasks, 50)
      assert.deepStrictEqual([config.host, config.port, config.store, config.model.model.name], [
        "0.0.0.0",
        0,
        { type: "memory" },
        "claude-haiku-5-5"
      ])
      assert.deepStrictEqual(config.retention, Option.some(Duration.minutes(90)))
      assert.deepStrictEqual(config.webhook.url, Option.some("http://127.0.0.1:8080/hook"))
      assert.isTrue(config.webhook.allowPrivate)
      assert.deepStrictEqual(config.webhook.secrets.map(Redacted.value), [
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
      ])
      assert.deepStrictEqual(config.log, { level: "Warn", format: "json" })
      assert.isFalse(config.telemetry.metrics)
      assert.strictEqual(config.telemetry.traceRatio, 0.1)
      assert.strictEqual(config.telemetry.tracesPerSecond, 200)
      assert.deepStrictEqual(config.telemetry.otlp, Option.some("http://127.0.0.1:4318"))
      assert.deepStrictEqual(Redacted.value(config.telemetry.headers), {
        authorization: "Bearer hunter2",
        "x-scope": "acme"
      })
      assert.deepStrictEqual(
        (yield* loadFrom({ PERENNIAL_RETENTION: "1 day" })).retention,
        Option.some(Duration.days(1))
      )
      assert.deepStrictEqual((yield* loadFrom({ PERENNIAL_RETENTION: "never" })).retention, Option.none())
      assert.deepStrictEqual(
        Object.values(config.model.connections).map(({ apiKey, baseUrl }) => [
          Redacted.value(Option.getOrThrow(apiKey)),
          Option.getOrThrow(baseUrl)
        ]),
        [
          ["key", "http://127.0.0.1:4000"],
          ["key-2", "http://127.0.0.1:4001/v1"],
          ["key-3", "http://127.0.0.1:4002/v1beta"],
          ["key-4", "http://127.0.0.1:4003/v1"]
        ]
      )
      assert.deepStrictEqual(config.model.fallbacks.map(({ name, provider }) => [provider, name]), [
        ["openai", "gpt-5.5"],
        ["google", "gemini-3-pro"],
        ["ollama", "qwen3:8b"]
      ])
      assert.deepStrictEqual(config.model.script, Option.some("demo.txt"))
    }))

  const provider = {
    PERENNIAL_JWT_ISSUER: "https://login.example.com/",
    PERENNIAL_JWT_AUDIENCE: "https://agents.example.com"
  }
  const PERENNIAL_JWT_SECRET = "a secret of at least thirty-two bytes"
  const PERENNIAL_JWT_JWKS_URL = "https://login.example.com/.well-known/jwks.json"

  it.effect("accepts the tokens of an identity provider: users of it may be operators, and other machines may connect", () =>
    Effect.gen(function*() {
      const reachable = { HOST: "0.0.0.0", PERENNIAL_OPERATORS: "olga" }
      const { jwt, operators } = yield* loadFrom({ ...provider, ...reachable, PERENNIAL_JWT_JWKS_URL })
      assert.deepStrictEqual(operators, ["olga"])
      assert.deepStrictEqual(
        jwt,
        Option.some({
          issuer: provider.PERENNIAL_JWT_ISSUER,
          audience: provider.PERENNIAL_JWT_AUDIENCE,
          keys: { jwksUrl: PERENNIAL_JWT_JWKS_URL },
          userClaim: undefined
        })
      )
      const shared = yield* loadFrom({ ...provider, PERENNIAL_JWT_SECRET, PERENNIAL_JWT_USER_CLAIM: "email" })
      assert.deepInclude(Option.getOrThrow(shared.jwt), { userClaim: "email" })
      assert.notInclude(JSON.stringify(shared), PERENNIAL_JWT_SECRET)
    }))

  it.effect.each(
    [
      [{ PERENNIAL_JWT_USER_CLAIM: "sub" }, "PERENNIAL_JWT_USER_CLAIM needs the keys"],
      [{ ...provider }, "PERENNIAL_JWT_ISSUER needs the keys that sign the tokens"],
      [{ ...provider, PERENNIAL_JWT_SECRET, PERENNIAL_JWT_JWKS_URL }, "and not both"],
      [{ PERENNIAL_JWT_SECRET }, "PERENNIAL_JWT_SECRET needs PERENNIAL_JWT_ISSUER"],
      [
        { PERENNIAL_JWT_ISSUER: "x", PERENNIAL_JWT_SECRET },
        "PERENNIAL_JWT_ISSUER needs PERENNIAL_JWT_AUDIENCE"
      ],
      [{ ...provider, PERENNIAL_JWT_SECRET: "too short" }, "PERENNIAL_JWT_SECRET=<hidden> is not valid"],
      [
        { ...provider, PERENNIAL_JWT_JWKS_URL: "http://login.example.com/keys" },
        "PERENNIAL_JWT_JWKS_URL=http://login.example.com/keys is not valid. Accepted: an https:// address"
      ],
      [{ ...provider, PERENNIAL_JWT_JWKS_URL: "keys.json" }, "PERENNIAL_JWT_JWKS_URL=keys.json is not valid"]
    ] as const
  )(
    "refuses the settings %j of an identity provider with one line",
    ([environment, expected]) =>
      Effect.gen(function*() {
        const { message } = yield* Effect.flip(loadFrom(environment))
        assert.include(message, expected)
        assert.notInclude(message, "\n")
        assert.notInclude(message, "too short")
      })
  )

  it.effect.each(
    [
      ["redis", "rediss://eve:secret@redis.example:6380/2"],
      ["postgres", "postgresql://eve:secret@db.example/perennial?sslmode=require"]
    ] as const
  )("hides the password of a store: %s", ([type, PERENNIAL_STORE]) =>
    Effect.gen(function*() {
      const { store } = yield* loadFrom({ PERENNIAL_STORE })
      assert.notInclude(`${JSON.stringify(store)}`, "secret")
      assert.strictEqual(store.type, type)
      assert.strictEqual("url" in store ? Redacted.value(store.url) : undefined, PERENNIAL_STORE)
    }))

  it.effect.each(
    [
      [{ PORT: "http" }, "PORT=http", "65535"],
      [{ PORT: "65536" }, "PORT=65536", "65535"],
      [{ HOST: "a b" }, "HOST=a b", "127.0.0.1"],
      [{ HOST: "0.0.0.0" }, "HOST=0.0.0.0", "PERENNIAL_TOKENS"],
      [{ PERENNIAL_MAX_STREAMS: "0" }, "PERENNIAL_MAX_STREAMS=0", "from 1 to 1000000"],
      [{ PERENNIAL_MAX_REQUESTS: "0" }, "PERENNIAL_MAX_REQUESTS=0", "from 1 to 1000000, or unlimited"],
      [{ PERENNIAL_FACES: "gopher" }, "PERENNIAL_FACES=gopher", "all, none, or names separated by commas: ai-sdk, "],
      [{ PERENNIAL_MAX_ACTIVE_TASKS: "none" }, "PERENNIAL_MAX_ACTIVE_TASKS=none", "from 1 to 1000000, or unlimited"],
      [{ PERENNIAL_MAX_STREAMS: "many" }, "PERENNIAL_MAX_STREAMS=many", "from 1 to 1000000"],
      [{ PERENNIAL_RETENTION: "a while" }, "PERENNIAL_RETENTION=a while", "30 days"],
      [{ PERENNIAL_RETENTION: "0 days" }, "PERENNIAL_RETENTION=0 days", "never"],
      [{ PERENNIAL_RETENTION: "30" }, "PERENNIAL_RETENTION=30", "days, hours, minutes or seconds"],
      [{ PERENNIAL_EXECUTE: "no" }, "PERENNIAL_EXECUTE=no", "true or false"],
      [{ PERENNIAL_ENGINE: "swarm" }, "PERENNIAL_ENGINE=swarm", "local, cluster"],
      [{ PERENNIAL_ENGINE: "cluster" }, "PERENNIAL_ENGINE=cluster needs", "PERENNIAL_STORE=postgres://"],
      [{ ...clustered, PERENNIAL_RUNNER_ADDRESS: "" }, "PERENNIAL_ENGINE=cluster needs", "PERENNIAL_RUNNER_ADDRESS"],
      [{ ...clustered, PERENNIAL_RUNNER_ADDRESS: "10.0.0.7" }, "PERENNIAL_RUNNER_ADDRESS=10.0.0.7", "10.0.0.7:24431"],
      [{ ...clustered, PERENNIAL_RUNNER_ADDRESS: "a:40000" }, "PERENNIAL_RUNNER_ADDRESS=a:40000", "1024 to 32767"],
      [{ ...clustered, PERENNIAL_RUNNER_LISTEN: "24431" }, "PERENNIAL_RUNNER_LISTEN=24431", "<host>:<port>"],
      [{ ...clustered, PERENNIAL_RUNNER_HEALTH: "consul" }, "PERENNIAL_RUNNER_HEALTH=consul", "ping, kubernetes"],
      [{ PERENNIAL_STORE: "sqlite" }, "PERENNIAL_STORE=sqlite", "sqlite:<path>"],
      [
        { PERENNIAL_STORE: "postgres://eve:secret@" },
        "PERENNIAL_STORE=postgres://<hidden>@ ",
        "postgres://<user>:<password>@<host>/<database>"
      ],
      [{ PERENNIAL_STORE: "redis://eve:secret@" }, "PERENNIAL_STORE=redis://<hidden>@ ", "redis://<host>:<port>"],
      [{ PERENNIAL_WEBHOOK_URL: "ftp://example.org" }, "PERENNIAL_WEBHOOK_URL=ftp://example.org", "https://"],
      [{ PERENNIAL_WEBHOOK_URL: "http://example.org" }, "PERENNIAL_WEBHOOK_URL=http://example.org", "_PRIVATE=true"],
      [{ PERENNIAL_WEBHOOK_URL: "https://example.org" }, "PERENNIAL_WEBHOOK_URL needs", "PERENNIAL_WEBHOOK_SECRETS"],
      [{ PERENNIAL_WEBHOOK_PRIVATE: "1" }, "PERENNIAL_WEBHOOK_PRIVATE=1", "true or false"],
      [{ PERENNIAL_LOG_LEVEL: "loud" }, "PERENNIAL_LOG_LEVEL=loud", "debug, info, warn, error, none"],
      [{ PERENNIAL_LOG_FORMAT: "xml" }, "PERENNIAL_LOG_FORMAT=xml", "text, json"],
      [{ PERENNIAL_METRICS: "yes" }, "PERENNIAL_METRICS=yes", "true or false"],
      [{ PERENNIAL_OTLP: "collector:4318" }, "PERENNIAL_OTLP=collector:4318", "http://127.0.0.1:4318"],
      [{ PERENNIAL_TRACE_RATIO: "1.5" }, "PERENNIAL_TRACE_RATIO=1.5", "from 0 (no trace) to 1"],
      [{ PERENNIAL_TRACES_PER_SECOND: "0" }, "PERENNIAL_TRACES_PER_SECOND=0", "a whole number from 1"],
      [{ PERENNIAL_MODEL: "a b" }, "PERENNIAL_MODEL=a b", "claude-opus-5-5"],
      [{ PERENNIAL_MODEL: "opnai:gpt-5.5" }, "PERENNIAL_MODEL=opnai:gpt-5.5", "openai:<model>"],
      [{ PERENNIAL_MODEL: "openai:gpt-5.5" }, "PERENNIAL_MODEL=openai:gpt-5.5 needs", "OPENAI_API_KEY"],
      [
        { PERENNIAL_MODEL: "ollama:qwen3", PERENNIAL_FALLBACK_MODELS: "claude-opus-5-5" },
        "PERENNIAL_FALLBACK_MODELS=claude-opus-5-5 needs",
        "ANTHROPIC_API_KEY"
      ],
      [{ ANTHROPIC_BASE_URL: "ftp://example.org" }, "ANTHROPIC_BASE_URL=ftp://example.org", "https://"]
    ] as const
  )(
    "an error names the variable, the value and the accepted values: %o",
    ([environment, found, accepted]) =>
      Effect.gen(function*() {
        const { message } = yield* Effect.flip(loadFrom(environment))
        assert.isTrue(message.startsWith(found), message)
        assert.include(message, accepted)
        assert.notInclude(message, "\n")
      })
  )

  it.effect.each([
    { PERENNIAL_TOKENS: "hunter2" },
    { PERENNIAL_OTLP_HEADERS: "hunter2" },
    { PERENNIAL_TOKENS: "alice:hunter2,bob:hunter2" },
    { ANTHROPIC_API_KEY: "hunter2 hunter2" },
    { OPENAI_API_KEY: "hunter2 hunter2" },
    { PERENNIAL_WEBHOOK_SECRETS: "whsec_hunter2" },
    { PERENNIAL_STORE: "postgress://alice:hunter2@example.org/perennial" },
    { PERENNIAL_STORE: "postgress://example.org/perennial?password=hunter2" },
    { ANTHROPIC_BASE_URL: "ftp://alice:hunter2@example.org" }
  ])("P12: an error shows no secret: %o", (environment) =>
    Effect.gen(function*() {
      const { message } = yield* Effect.flip(loadFrom(environment))
      assert.include(message, Object.keys(environment)[0] ?? "")
      assert.notInclude(message, "hunter2")
      assert.notInclude(message, "\n")
    }))

  it("P12: the name of a store has no password", () => {
    const secret = (url: string) => ({ type: "postgres", url: Redacted.make(url) }) as const
    assert.strictEqual(format(secret("postgres://eve:hunter2@db.example/p")), "postgres://<hidden>@db.example/p")
    assert.strictEqual(format(secret("postgres://db.example/p?password=hunter2")), "postgres://db.example/p?<hidden>")
    assert.strictEqual(format({ type: "sqlite", path: "a.db" }), "sqlite:a.db")
  })

  it.effect("a process of a cluster without an address executes nothing", () =>
    Effect.gen(function*() {
      const { engine, execute } = yield* loadFrom({
        ...clustered,
        PERENNIAL_RUNNER_ADDRESS: "",
        PERENNIAL_EXECUTE: "false"
      })
      assert.strictEqual(engine.type, "cluster")
      assert.isFalse(execute)
    }))

  it("every variable is documented, and every documented one is known", () => {
    const documented = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8")
      .matchAll(/^\| `([A-Z_]+)` /gm)
    assert.deepStrictEqual([...documented].map(([, name]) => name), ["HOST", "PORT", ...SettingNames.server])
  })
})
