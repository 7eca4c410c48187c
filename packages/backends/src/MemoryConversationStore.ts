/**
 * Keeps conversations in memory. The implementation is in `@perennial/domain`, because the runtime uses it too.
 *
 * @since 0.1.0
 */
export * from "@perennial/domain/MemoryConversationStore"
