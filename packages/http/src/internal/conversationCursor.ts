/**
 * The place of a conversation in the list of a user, as clients pass it back.
 */
import { ConversationId } from "@perennial/domain/Ids"
import { DateTime, Schema, SchemaGetter } from "effect"

const Place = Schema.Struct({ at: Schema.DateTimeUtc, id: ConversationId })

/**
 * `<milliseconds of the time of the order>.<id>`: the place itself, which is valid also after the conversation was deleted.
 * Opaque to clients.
 */
export const ConversationCursor = Schema.TemplateLiteralParser([Schema.Natural, ".", ConversationId]).pipe(
  Schema.decodeTo(Schema.toType(Place), {
    decode: SchemaGetter.transform(([millis, , id]) => ({ at: DateTime.makeUnsafe(millis), id })),
    encode: SchemaGetter.transform(({ at, id }) => [at.epochMilliseconds, ".", id] as const)
  })
)
