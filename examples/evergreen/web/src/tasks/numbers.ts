/** Numbers as people read them. */

export const number = (value: number): string => value.toLocaleString("en")

export const usageText = (usage: { readonly inputTokens: number; readonly outputTokens: number }): string =>
  `${number(usage.inputTokens)} in, ${number(usage.outputTokens)} out`
