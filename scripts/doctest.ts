/**
 * Turns the examples in doc comments and Markdown into tests.
 *
 * A fence opened with ```` ```ts import.meta.vitest ```` becomes the body of one test under test/doctest/. A trailing
 * `// => value` asserts that the expression before it equals the value.
 */
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"

const out = "test/doctest"
const fence = /^( *\*)? *```ts import\.meta\.vitest\n([\s\S]*?)\n( *\*)? *```/gm

const assertions = (code: string): string =>
  code.replace(/^(.*?\S) *\/\/ => (.+)$/gm, (_, expression: string, expected: string) => {
    const binding = /^const (\w+) = /.exec(expression)
    return binding === null
      ? `assert.deepStrictEqual(${expression}, ${expected})`
      : `${expression}\nassert.deepStrictEqual(${binding[1]}, ${expected})`
  })

rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })

for (const file of globSync(["packages/*/src/**/*.ts", "*.md", "docs/**/*.md", "packages/*/README.md"])) {
  const source = readFileSync(file, "utf8")
  let index = 0
  for (const match of source.matchAll(fence)) {
    const line = source.slice(0, match.index).split("\n").length
    const body = (match[2] ?? "").replace(/^ *\* ?/gm, "")
    const imports = body.match(/^import [\s\S]*? from ".*"$/gm) ?? []
    const code = imports.reduce((rest, statement) => rest.replace(statement, ""), body).trim()
    writeFileSync(
      `${out}/${file.replaceAll("/", "_")}.${index++}.test.ts`,
      [
        code.includes("assert.") || /\/\/ => /.test(code)
          ? `import { assert, it } from "@effect/vitest"`
          : `import { it } from "@effect/vitest"`,
        ...imports,
        `it(${JSON.stringify(`${file}:${line}`)}, async () => {`,
        assertions(code),
        `})`,
        ""
      ].join("\n")
    )
  }
}
