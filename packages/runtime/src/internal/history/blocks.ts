/** How much is removed from a history at once. */

/** Content is removed in blocks of 40 %, so that several prompts have the same beginning and the provider's cache is used. */
export const inBlocks = (excess: number, most: number): number => {
  const block = Math.max(1, Math.ceil(most * 0.4))
  return Math.ceil(excess / block) * block
}
