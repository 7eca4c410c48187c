/**
 * The routes of a group of the API, compiled from its endpoints.
 *
 * `HttpApiBuilder` serves whatever can be declared, and looks at each request for what its endpoint needs. Here that is
 * settled when the server starts, for what this API declares: bodies are JSON, errors are problems, and no schema needs
 * a service. What the API adds to the cost of a request is less than half (measured).
 */
import { Context, Effect, Exit, Layer, Redacted, Schema, SchemaAST, SchemaIssue, Scope, type Types } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerRespondable, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, type HttpApiEndpoint, HttpApiError, type HttpApiGroup, HttpApiSchema } from "effect/http-api"
import { Api } from "../Api.ts"
import { Authorization } from "../Authorization.ts"
import { Forbidden, RequestProblems, Unauthorized, UnsupportedMediaType } from "../Problems.ts"

interface Of {
  readonly group: HttpApiGroup.Top
  readonly endpoint: HttpApiEndpoint.Top
}

/** What a handler is given; what its endpoint does not declare is `undefined`. */
interface Request extends Of {
  readonly request: HttpServerRequest.HttpServerRequest
  readonly params: unknown
  readonly headers: unknown
  readonly query: unknown
  readonly payload: unknown
}

/** Handlers fail with problems; which ones is nothing to the routes. */
type Handler = (request: Request) => Effect.Effect<unknown, Types.unhandled>

type Failure = HttpApiError.HttpApiSchemaError | UnsupportedMediaType | Forbidden | Unauthorized | Types.unhandled
type Handled = Effect.Effect<HttpServerResponse.HttpServerResponse, Failure, HttpRouter.Provided>

const { HttpApiSchemaError } = HttpApiError
type Kind = HttpApiError.HttpApiSchemaError["kind"]
type Decoded = Exit.Exit<unknown, HttpApiError.HttpApiSchemaError>

// No schema of the API needs a service: that is what the two casts say.
const decoder = (kind: Kind, schema: Schema.Constraint | undefined): (input: unknown) => Decoded => {
  if (schema === undefined) return () => Exit.void
  const decode = Schema.decodeUnknownExit(schema as Schema.ConstraintDecoder<unknown>)
  return (input) => Exit.mapError(decode(input), (cause) => new HttpApiSchemaError({ kind, cause }))
}

const encoder = (schema: Schema.Constraint) => Schema.encodeUnknownSync(schema as Schema.ConstraintEncoder<unknown>)

const unsupported = Effect.fail(
  new UnsupportedMediaType({ detail: "Send the body as `content-type: application/json`." })
)

const notJson = Exit.fail(
  new HttpApiSchemaError({
    kind: "Payload",
    cause: new Schema.SchemaError(new SchemaIssue.InvalidValue({ message: "Expected a valid JSON body" }))
  })
)

const json = "application/json"

const isJson = (contentType = json): boolean =>
  contentType === json || contentType.replace(/;.*/s, "").trim().toLowerCase() === json

/** Reads a body of JSON. An empty one is `null` to an endpoint whose body may be left out. */
const bodyReader = ({ identifier, payload }: HttpApiEndpoint.Top) => {
  if (payload.size === 0) return undefined
  const declared = payload.get(json)
  if (declared === undefined || payload.size > 1) throw new Error(`${identifier} takes bodies that are not JSON`)
  const decode = decoder("Payload", Schema.Union(declared.schemas))
  const empty = declared.schemas.some(({ ast }) => SchemaAST.isNull(SchemaAST.toEncoded(ast))) ? null : undefined
  const parse = (text: string): Decoded => {
    if (text === "") return decode(empty)
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      return notJson
    }
    return decode(value)
  }
  return (request: HttpServerRequest.HttpServerRequest): Effect.Effect<unknown, Failure> =>
    isJson(request.headers["content-type"]) ? Effect.flatMap(Effect.orDie(request.text), parse) : unsupported
}

const statusOf = ({ ast }: Schema.Constraint): number => {
  const status = SchemaAST.resolveAt<number>("httpApiStatus")(ast) ?? ast.context?.annotations?.["httpApiStatus"]
  return typeof status === "number" ? status : 200
}

/** Makes a response of the first success that the endpoint declares. A handler makes the response of any other itself. */
const responder = ({ success }: HttpApiEndpoint.Top) => {
  const [declared = HttpApiSchema.NoContent] = success
  const withHeaders = HttpApiSchema.isWithHeaders(declared) ? declared : undefined
  const schema = withHeaders?.schema ?? declared
  const status = statusOf(schema)
  const encode = encoder(schema)
  const encodeHeaders = withHeaders && encoder(withHeaders.headers)

  const respond = (body: unknown, headers?: Record<string, string>) =>
    body === undefined
      ? HttpServerResponse.empty({ status, headers })
      : HttpServerResponse.text(JSON.stringify(encode(body)), { status, headers, contentType: json })

  return (value: unknown): HttpServerResponse.HttpServerResponse => {
    if (HttpServerResponse.isHttpServerResponse(value)) return value
    if (encodeHeaders === undefined) return respond(value)
    // The endpoint declares these; headers are encoded as text.
    const { body, headers } = value as HttpApiSchema.withHeaders<unknown, unknown>
    return respond(body, encodeHeaders(headers) as Record<string, string>)
  }
}

/** Middleware hands on what it knows nothing of. */
const opaque = (handled: Handled) =>
  handled as Effect.Effect<HttpServerResponse.HttpServerResponse, Types.unhandled, never>

const isDenied = (error: unknown) => error instanceof Unauthorized || error instanceof Forbidden

/** Tries one credential after the other until one is accepted. What a handler fails with is never a denial. */
const authorize = (handled: Handled, service: Authorization["Service"], of: Of): Handled => {
  const verify = (name: keyof typeof Authorization.security, credential: Redacted.Redacted): Handled =>
    service[name](opaque(handled), { ...of, credential })
  const attempt = (name: keyof typeof Authorization.security): Handled =>
    Effect.flatMap(
      HttpApiBuilder.securityDecode(Authorization.security[name]),
      (credential) => verify(name, credential)
    )
  const orElse = (self: Handled, next: Handled): Handled => Effect.catchIf(self, isDenied, () => next)

  const withToken = attempt("bearer")
  // Most requests of a server without tokens: nothing of this is made for each of them.
  const withoutToken = verify("bearer", Redacted.make(""))
  const bearer = Effect.flatMap(
    HttpServerRequest.HttpServerRequest,
    ({ headers }) => headers["authorization"] === undefined ? withoutToken : withToken
  )
  return orElse(bearer, orElse(attempt("query"), attempt("cookie")))
}

const refuse = (error: unknown): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  HttpServerRespondable.isRespondable(error) ? HttpServerRespondable.toResponse(error) : Effect.die(error)

const compile = (of: Of, handler: Handler, services: Context.Context<Authorization | RequestProblems>) => {
  const { endpoint, group } = of
  const decodeParams = decoder("Params", endpoint.params)
  const decodeHeaders = decoder("Headers", endpoint.headers)
  const decodeQuery = decoder("Query", endpoint.query && Schema.toCodecArrayFromSingle(endpoint.query))
  const readBody = bodyReader(endpoint)
  const respond = responder(endpoint)

  const handled: Handled = Effect.withFiber((fiber) => {
    // The router provides it all.
    const context = fiber.context as Provided
    const request = Context.get(context, HttpServerRequest.HttpServerRequest)
    const params = decodeParams(Context.get(context, HttpRouter.RouteContext).params)
    if (Exit.isFailure(params)) return Effect.failCause(params.cause)
    const headers = decodeHeaders(request.headers)
    if (Exit.isFailure(headers)) return Effect.failCause(headers.cause)
    const query = decodeQuery(Context.get(context, HttpServerRequest.ParsedSearchParams))
    if (Exit.isFailure(query)) return Effect.failCause(query.cause)
    const run = (payload: unknown) => {
      const parts = { group, endpoint, request, params: params.value, headers: headers.value, query: query.value }
      return Effect.map(handler({ ...parts, payload }), respond)
    }
    return readBody === undefined ? run(undefined) : Effect.flatMap(readBody(request), run)
  })
  const authorized = endpoint.middlewares.has(Authorization)
    ? authorize(handled, Context.get(services, Authorization), of)
    : handled
  return Effect.catchCause(
    Context.get(services, RequestProblems)(opaque(authorized), of),
    (cause) => Effect.catch(Effect.withErrorReporting(Effect.failCause(cause)), refuse)
  )
}

type Provided = Context.Context<HttpRouter.Provided>

/** Adds what the routes were built with and the server does not know, such as a logger that was provided to them alone. */
const provide = (built: Context.Context<never>) => {
  let lacking: ReadonlyArray<readonly [string, unknown]> | undefined
  return (context: Provided): Provided => {
    lacking ??= [...built.mapUnsafe].filter(([key, service]) => context.mapUnsafe.get(key) !== service)
    return lacking.reduce((context, [key, service]) => Context.addUnsafe(context, key, service), context)
  }
}

/** No handler asks for these. They would make each request copy its context. */
const onlyBuilds = [Layer.CurrentMemoMap, HttpRouter.HttpRouter, RequestProblems]

/** What `HttpApiBuilder` keeps of a group. */
interface Group {
  readonly handlers: ReadonlyMap<string, { readonly endpoint: HttpApiEndpoint.Top; readonly handler: Handler }>
  readonly routes: ReadonlyArray<HttpRouter.Route<unknown, unknown>>
}

/** Serves a group that `HttpApiBuilder` has built by compiled routes. */
export const compiled = <const Id extends keyof typeof Api.groups, E, R>(
  id: Id,
  layer: Layer.Layer<HttpApiGroup.Service<"perennial", Id>, E, R>
): Layer.Layer<HttpApiGroup.Service<"perennial", Id>, E, R> =>
  Layer.effectContext(Effect.gen(function*() {
    const services = yield* Effect.context<R>()
    const built = yield* Layer.build(layer)
    // The endpoints are not told apart here.
    const group = Api.groups[id] as unknown as HttpApiGroup.Top
    // `HttpApiBuilder` keeps the handlers there.
    const { handlers } = built.mapUnsafe.get(group.key) as Group
    const provided = provide(Context.omit(Scope.Scope, ...onlyBuilds)(services))
    const routes = Array.from(handlers.values(), ({ endpoint, handler }) => {
      // The layer's type asks for both, where an endpoint needs them.
      const handled = compile(
        { group, endpoint },
        handler,
        services as Context.Context<Authorization | RequestProblems>
      )
      return HttpRouter.route(
        endpoint.method,
        endpoint.path as HttpRouter.PathInput,
        Effect.updateContext(handled, provided)
      )
    })
    return Context.addUnsafe(built, group.key, { handlers, routes })
  }))
