/**
 * Keeps conversations in memory. It lives in `@perennial/domain`, where the runtime finds it too; here it stands with
 * its siblings.
 *
 * @since 0.1.0
 */
export * from "@perennial/domain/MemoryConversationStore"
