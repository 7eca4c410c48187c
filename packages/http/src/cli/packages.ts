/**
 * Packages that only some commands need. An application may not have them.
 */
import { Effect, Predicate } from "effect"
import { type Failure, usage, whyTransport } from "./failure.ts"

/** Loads a module. If its package is missing, the line says what to install. */
export const load = <A>(name: string, module: () => Promise<A>): Effect.Effect<A, Failure> =>
  Effect.tryPromise({
    try: module,
    catch: (error) =>
      usage(
        Predicate.hasProperty(error, "code") && error.code === "ERR_MODULE_NOT_FOUND"
          ? `This command needs a package that is not installed: npm install ${name}`
          : `The package ${name} cannot be loaded: ${whyTransport(error)}.`
      )
  })
