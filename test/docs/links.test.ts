/**
 * Links between pages of the documentation: each page and each heading that a link names must exist.
 */
import { assert, it } from "@effect/vitest"
import { existsSync, globSync, readFileSync, statSync } from "node:fs"
import { dirname, join, normalize } from "node:path"

const root = join(import.meta.dirname, "../..")
const pages = globSync(["*.md", "docs/**/*.md", "packages/*/README.md", "examples/README.md"], { cwd: root })

const withoutCode = (markdown: string): string => markdown.replace(/^```[\s\S]*?^```/gm, "").replace(/`[^`\n]*`/g, "")

/** The anchors of a page, which GitHub makes from its headings. */
const anchorsOf = (page: string): ReadonlyArray<string> =>
  [...readFileSync(join(root, page), "utf8").replace(/^```[\s\S]*?^```/gm, "").matchAll(/^#+ (.+)$/gm)].map((
    [, text = ""]
  ) => text.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-"))

const linksOf = (page: string): ReadonlyArray<string> =>
  [...withoutCode(readFileSync(join(root, page), "utf8")).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = ""]) =>
    /^[a-z]+:/.test(target) ? [] : [target]
  )

const problemOf = (page: string, link: string): string | undefined => {
  const [path = "", anchor] = link.split("#")
  const target = path === "" ? page : normalize(join(dirname(page), path))
  if (!existsSync(join(root, target))) return `${page}: ${link} does not exist`
  if (anchor === undefined || statSync(join(root, target)).isDirectory() || !target.endsWith(".md")) return undefined
  return anchorsOf(target).includes(anchor) ? undefined : `${page}: ${link} has no such heading`
}

it("every link between pages names an existing page and an existing heading", () => {
  assert.isAbove(pages.length, 10)
  const broken = pages.flatMap((page) => linksOf(page).flatMap((link) => problemOf(page, link) ?? []))
  assert.deepStrictEqual(broken, [])
})
