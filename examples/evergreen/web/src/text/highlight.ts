/** Colours for code. It is loaded when the first block of code is finished. */
import { type ShjLanguage, tokenize } from "@speed-highlight/core"

const names: Record<string, string> = {
  typescript: "ts",
  tsx: "ts",
  javascript: "js",
  jsx: "js",
  python: "py",
  shell: "bash",
  sh: "bash",
  zsh: "bash",
  yml: "yaml",
  rust: "rs",
  "c++": "c",
  markdown: "md"
}

export const highlight = async (text: string, lang: string): Promise<ReadonlyArray<readonly [string, string]>> => {
  const parts: Array<readonly [string, string]> = []
  const name = lang.toLowerCase()
  // An unknown name fails, and the code stays without colours.
  await tokenize(text, (names[name] ?? name) as ShjLanguage, (part, kind) => parts.push([part, kind ?? ""]))
  return parts
}
