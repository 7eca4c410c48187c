/**
 * What another version wrote: an object of a type that this version does not know.
 */
import { Schema, SchemaGetter } from "effect"

/**
 * A schema of objects whose type is none of `known`. Such an object is `{ type: "unknown", raw }` in this process, and is
 * stored and sent unchanged.
 */
export const unknownFromRaw = (known: Iterable<string>) => {
  const types = new Set(known)
  const Raw = Schema.StructWithRest(
    Schema.Struct({ type: Schema.String.check(Schema.makeFilter((type: string) => !types.has(type))) }),
    [Schema.Record(Schema.String, Schema.Json)]
  )
  return Raw.pipe(Schema.decodeTo(
    Schema.Struct({ type: Schema.Literal("unknown"), raw: Schema.toType(Raw) }),
    {
      decode: SchemaGetter.transform((raw) => ({ type: "unknown" as const, raw })),
      encode: SchemaGetter.transform((unknown) => unknown.raw)
    }
  ))
}
