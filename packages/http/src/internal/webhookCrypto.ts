/** The digest and the signatures of messages: those of the application, if it provides them; otherwise Web Crypto. */
import { Effect, Layer, Option } from "effect"
import { Digest, Mac, SecureRandom } from "effect/crypto"

const layerMac = Layer.provide(Mac.layerWebCrypto, SecureRandom.layerWebCrypto)

/** Web Crypto answers with a promise, which a simulation cannot order. */
export const layer: Layer.Layer<Digest.Digest | Mac.Mac> = Layer.merge(
  Layer.unwrap(Effect.map(
    Effect.serviceOption(Digest.Digest),
    Option.match({
      // oxlint-disable-next-line perennial/no-escapes -- the service that a simulation replaces
      onNone: () => Digest.layerWebCrypto,
      onSome: (digest) => Layer.succeed(Digest.Digest, digest)
    })
  )),
  Layer.unwrap(Effect.map(
    Effect.serviceOption(Mac.Mac),
    Option.match({ onNone: () => layerMac, onSome: (mac) => Layer.succeed(Mac.Mac, mac) })
  ))
)
