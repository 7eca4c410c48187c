/**
 * Tests of the packed packages in an application. They need the npm registry.
 */
import { globSync, readFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { Application, compilers, modules, packages, pnpm, run, workspace } from "./application.ts"

const application = new Application()
afterAll(() => application[Symbol.dispose]())

const json = JSON.stringify

/** The code of the examples of a page. */
const examples = (page: string): ReadonlyArray<string> =>
  [...readFileSync(join(workspace, page), "utf8").matchAll(/^```ts import\.meta\.vitest\n([\s\S]*?)\n```/gm)]
    .map(([, code = ""]) => code)

const nodes = {
  "Node 22": () => application.nodeOf("node22"),
  [`Node ${process.versions.node}`]: () => dirname(process.execPath)
}

beforeAll(async () => {
  await application.pack()
  await Promise.all([application.install(), application.installNodes()])
})

describe("a package", () => {
  for (const { directory, manifest, name } of packages) {
    it(`the manifest of ${name} has a description, the repository and the license`, () => {
      for (const field of ["description", "keywords", "homepage", "bugs", "repository", "license", "engines"]) {
        assert.isDefined(manifest[field], field)
      }
      assert.deepInclude(manifest["repository"], { directory: `packages/${basename(directory)}` })
      assert.strictEqual(manifest["version"], packages[0]?.manifest["version"])
    })

    it(`${name} contains its README, its license, and each source module once`, () => {
      const installed = join(application.directory, "node_modules", name)
      const files = (pattern: string, cwd: string, suffix: string) =>
        globSync(pattern, { cwd }).map((file) => file.slice(0, -suffix.length)).toSorted()
      assert.deepStrictEqual(globSync("{README.md,LICENSE}", { cwd: installed }).toSorted(), ["LICENSE", "README.md"])
      const sources = files("**/*.ts", join(directory, "src"), ".ts")
      assert.deepStrictEqual(files("**/*.js", join(installed, "dist"), ".js"), sources)
      assert.deepStrictEqual(files("**/*.d.ts", join(installed, "dist"), ".d.ts"), sources)
    })
  }
})

describe("installed with npm, with effect only", () => {
  beforeAll(() => {
    application.write("readme.ts", `${examples("README.md")[0]}\nconsole.log(JSON.stringify(seen))`)
    application.write("indexes.js", packages.map(({ name }) => `import "${name}"`).join("\n"))
  })

  for (const [name, directory] of Object.entries(nodes)) {
    it(`the program of the README runs with ${name}`, async () => {
      const seen = JSON.parse(await application.node(directory(), "readme.ts"))
      assert.deepStrictEqual([seen[0], seen.at(-1)], ["1 ack", "7 done"])
    })

    it(`every index loads with ${name}`, () => application.node(directory(), "indexes.js"))
  }
})

describe("the program perennial, installed with npm", () => {
  it("names the packages that it needs, if they are not installed", async () => {
    const { code, stderr, stdout } = await application.perennial("--help")
    assert.deepStrictEqual([code, stdout], [2, ""])
    assert.strictEqual(stderr, "perennial: A package is not installed: npm install effect @effect/platform-node\n")
  })
})

describe.concurrent("installed with npm, with all peers", () => {
  beforeAll(async () => {
    await application.installPeers()
    const imports = modules.map((module, i) => `import * as m${i} from "${module}"`).join("\n")
    application.write("modules.ts", `${imports}\nconsole.log([${modules.map((_, i) => `m${i}`)}].length)`)
    const pages = ["README.md", ...packages.map(({ directory }) => `packages/${basename(directory)}/README.md`)]
    for (const [i, example] of pages.flatMap(examples).entries()) application.write(`example${i}.ts`, example)
    const strict = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
      noEmit: true,
      target: "ES2023"
    }
    application.write(
      "tsconfig.json",
      json({
        include: ["*.ts"],
        exclude: ["browser.ts"],
        compilerOptions: { ...strict, module: "NodeNext", types: ["node"] }
      })
    )
    application.write(
      "browser.ts",
      `export * from "@perennial/http/Client"\nexport * as domain from "@perennial/domain"`
    )
    application.write(
      "tsconfig.browser.json",
      json({
        files: ["browser.ts"],
        compilerOptions: { ...strict, module: "ESNext", moduleResolution: "Bundler", lib: ["ES2023", "DOM"], types: [] }
      })
    )
  })

  for (const [name, directory] of Object.entries(nodes)) {
    it(`every module loads with ${name}`, async () => {
      assert.strictEqual(await application.node(directory(), "modules.ts"), `${modules.length}\n`)
    })
  }

  it("the program perennial runs with npx", async () => {
    const help = await application.perennial("--help")
    assert.deepStrictEqual([help.code, help.stderr], [0, ""])
    assert.include(help.stdout, "start")
    const version = await application.perennial("--version")
    assert.strictEqual(version.stdout, `perennial ${packages[0]?.manifest["version"]}\n`)
    const started = await application.perennial("start", "Hello", "--detach", "--json", "--store", "sqlite:test.db")
    assert.strictEqual(JSON.parse(started.stdout).agentId, "assistant", started.stderr)
    const listed = await application.perennial("list", "--json", "--store", "sqlite:test.db")
    assert.lengthOf(JSON.parse(listed.stdout).items, 1, listed.stderr)
    assert.strictEqual((await application.perennial("lsit")).code, 2)
  })

  for (const compiler of compilers) {
    it(`every module and the programs of the READMEs pass TypeScript ${compiler} without skipLibCheck`, () =>
      application.typeCheck(compiler, "tsconfig.json"))
  }

  it("no package brings `pg`, which warns of concurrent queries: `@effect/sql-pg` speaks to PostgreSQL itself", () => {
    assert.deepStrictEqual(globSync("node_modules/**/pg/package.json", { cwd: application.directory }), [])
  })

  it("the client passes TypeScript for a browser, without the types of Node.js", () =>
    application.typeCheck("7.0.2", "tsconfig.browser.json"))
})

it("an example runs on a machine with Node 20, because pnpm runs it with the Node.js of the workspace", async () => {
  const elsewhere = (process.env["PATH"] ?? "").split(":").filter((path) => !path.includes("node_modules"))
  const output = await run("npx", [...pnpm, "exec", "node", "examples/src/quickstart.ts"], {
    cwd: workspace,
    env: { ...process.env, PATH: [application.nodeOf("node20"), ...elsewhere].join(":") }
  })
  assert.match(output, /done/)
})
