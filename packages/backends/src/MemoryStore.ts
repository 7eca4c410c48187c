/**
 * Keeps tasks, conversations and webhooks in memory: all ports in one layer. The implementation is in `@perennial/domain`, because the
 * runtime uses it too.
 *
 * @since 0.1.0
 */
export * from "@perennial/domain/MemoryStore"
