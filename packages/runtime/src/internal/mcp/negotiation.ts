/** Finds the revision of the protocol that a server speaks. */
import { Option, Schema } from "effect"
import { type McpClient, type McpClientError, McpProtocol } from "effect/ai"

export type Adapter = McpProtocol.ProtocolAdapter

type Failure = McpClientError.McpClientError

/** The revision that is tried first. */
export const newest = McpProtocol.v2025_11_25

/** The revisions in the order in which they are tried. */
const adapters: ReadonlyArray<Adapter> = [
  newest,
  McpProtocol.v2025_06_18,
  McpProtocol.v2025_03_26,
  McpProtocol.v2024_11_05,
  McpProtocol.v2026_07_28
]

export const adapterOf = (version: unknown): Adapter | undefined =>
  adapters.find(({ protocolVersion }) => protocolVersion === version)

/**
 * `McpClient` names two revisions in its types. It does with any adapter what the adapter says: the tests connect with each.
 */
export const forClient = (adapter: Adapter): McpProtocol.ProtocolAdapter<McpClient.ProtocolVersion> =>
  adapter as McpProtocol.ProtocolAdapter<McpClient.ProtocolVersion>

const Supported = Schema.Struct({ supported: Schema.Array(Schema.String) })

/** The server has refused the revision, or the first request of the revision. */
const isRefusal = ({ reason }: Failure): boolean => {
  switch (reason._tag) {
    case "UnsupportedError":
      return true
    case "HttpError":
      return reason.status === 400
    case "ProtocolError":
      return reason.code !== undefined
    default:
      return false
  }
}

/** The revision to try next. Undefined if another one would not help. */
export const nextAdapter = (
  error: Failure,
  tried: ReadonlyArray<Adapter>,
  /** What the server has answered to `initialize`. */
  offered: unknown
): Adapter | undefined => {
  if (!isRefusal(error)) return undefined
  const untried = adapters.filter((adapter) => !tried.includes(adapter))
  const { reason } = error
  const supported = "data" in reason
    ? Option.getOrUndefined(Schema.decodeUnknownOption(Supported)(reason.data))?.supported ?? []
    : []
  return untried.find(({ protocolVersion }) => protocolVersion === offered) ??
    untried.find(({ protocolVersion }) => supported.includes(protocolVersion)) ?? untried[0]
}
