/** What an idempotency key stands for: two requests with one key must have the same hash. */
import { Predicate } from "effect"
import { Digest } from "effect/crypto"
import * as Utf8 from "../utf8.ts"

/** JSON with sorted keys, so that the order in which a client wrote them does not matter. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    Predicate.isObject(inner) && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => a < b ? -1 : 1))
      : inner)

/**
 * SHA-256 of a request, encoded by its schema: of all its fields, but not of the key itself, and not of the log context,
 * which may name the attempt of the client.
 */
export const requestHash = (
  digest: Digest.Digest["Service"],
  { idempotencyKey: _key, logContext: _logContext, ...request }: Record<string, unknown>
) => digest.digestHex(Digest.sha256, Utf8.encode(canonical(request)))
