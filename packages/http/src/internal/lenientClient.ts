/** The client that effect derives from the API, but parts of a request in which nothing is required may be left out. */
import { Record } from "effect"
import type { HttpApi, HttpApiClient, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"

type RequestOf<Endpoint extends HttpApiEndpoint.ConstraintRequest, Mode extends HttpApiClient.Client.ResponseMode> =
  HttpApiEndpoint.ClientRequest<
    Endpoint["~Params"],
    Endpoint["~Query"],
    Endpoint["~Payload"],
    Endpoint["~Headers"],
    Mode
  >

type OptionalParts<Request> = {
  [Part in keyof Request]-?: object extends Pick<Request, Part> ? Part
    : undefined extends Request[Part] ? Part
    : object extends Request[Part] ? Part
    : never
}[keyof Request]

type Lenient<Request> = Omit<Request, OptionalParts<Request>> & Partial<Pick<Request, OptionalParts<Request>>>

type Arguments<Request> = object extends Lenient<Request> ? [request?: Lenient<Request>] : [request: Lenient<Request>]

type Method<Endpoint extends HttpApiEndpoint.ConstraintRequest> = <
  Mode extends HttpApiClient.Client.ResponseMode = "decoded-only"
>(
  ...request: Arguments<Exclude<RequestOf<Endpoint, Mode>, void>>
) => HttpApiClient.Client.MethodReturn<Endpoint, never, never, Mode, never>

type Methods<Endpoints> = {
  readonly [Name in keyof Endpoints]: Endpoints[Name] extends HttpApiEndpoint.ConstraintRequest ?
    Method<Endpoints[Name]>
    : never
}

export type LenientClient<Api> = Api extends HttpApi.HttpApi<infer _Id, infer Groups> ? {
    readonly [Group in Groups as HttpApiGroup.Identifier<Group>]: Methods<Group["endpoints"]>
  }
  : never

export const makeLenient = <Api extends HttpApi.Constraint>(client: HttpApiClient.ForApi<Api>): LenientClient<Api> =>
  // Each method takes what `Lenient` describes: an endpoint without headers or query ignores the empty ones.
  Record.map(
    client as unknown as Record<string, Record<string, (request: object) => unknown>>,
    (group) => Record.map(group, (method) => (request?: object) => method({ headers: {}, query: {}, ...request }))
  ) as unknown as LenientClient<Api>
