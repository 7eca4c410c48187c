/** A tracer whose spans have no texts of users, models and tools. */
import { Cause, Exit, Predicate, Tracer } from "effect"
import { failed, SpanFailure } from "./attributes.ts"

/** Spans of `effect/ai` and of tools. */
const isPrivate = (name: string): boolean => /^(?:LanguageModel\.|execute_tool )/.test(name)

const codeOf = (error: unknown): string => {
  const reason = Predicate.hasProperty(error, "reason") ? error.reason : error
  return Predicate.hasProperty(reason, "_tag") ? String(reason._tag) : "defect"
}

const withoutText = (exit: Exit.Exit<unknown, unknown>): Exit.Exit<unknown, unknown> => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return exit
  const error = Cause.squash(exit.cause)
  return error instanceof SpanFailure ? exit : failed(codeOf(error))
}

export const withoutContents = (tracer: Tracer.Tracer): Tracer.Tracer => {
  // The default tracer records nothing, and stays itself, so that it is recognized.
  if (tracer === Tracer.nativeTracer) return tracer
  return Tracer.make({
    ...tracer,
    span: (options) => {
      const span = tracer.span(options)
      if (!options.sampled || !isPrivate(options.name)) return span
      const { attribute, end } = span
      Object.defineProperties(span, {
        attribute: {
          // `Toolkit` puts the arguments of a call on the span.
          value: (key: string, value: unknown) => key === "parameters" ? undefined : attribute.call(span, key, value)
        },
        end: { value: (time: bigint, exit: Exit.Exit<unknown, unknown>) => end.call(span, time, withoutText(exit)) }
      })
      return span
    }
  })
}
