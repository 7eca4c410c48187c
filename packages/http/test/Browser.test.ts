import { assert, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const packages = fileURLToPath(new URL("../../", import.meta.url))
const valueImports = /^(?:import|export)\s+(?!type\s)(?:[^"']*?\sfrom\s+)?["']([^"']+)["']/gm

const sourceOf = (from: string, specifier: string): string | undefined => {
  if (specifier.startsWith(".")) return join(dirname(from), specifier)
  const [, name, module = "index"] = /^@perennial\/(\w+)(?:\/(\w+))?$/.exec(specifier) ?? []
  return name === undefined ? undefined : join(packages, name, "src", `${module}.ts`)
}

/** The modules that a module loads, directly and indirectly: the paths of our own files, and the names of other modules. */
const loads = (file: string, seen = new Set<string>()): ReadonlySet<string> => {
  if (seen.has(file)) return seen
  seen.add(file)
  for (const [, specifier = ""] of readFileSync(file, "utf8").matchAll(valueImports)) {
    const source = sourceOf(file, specifier)
    if (source === undefined) seen.add(specifier)
    else loads(source, seen)
  }
  return seen
}

const inBrowsers = /^effect(?:\/(?:encoding|http|http-api|crypto|persistence))?$/

it.each(["Client", "Api", "index"])(
  "%s.ts is for browsers: it loads no packages except domain and effect",
  (module) => {
    const loaded = [...loads(join(packages, "http", "src", `${module}.ts`))].map((name) => name.replace(packages, ""))
    assert.include(loaded, "domain/src/Task.ts")
    const foreign = loaded.filter((name) => !/^(?:domain|http)\//.test(name) && !inBrowsers.test(name))
    assert.deepStrictEqual(foreign, [])
  }
)

it("the index does not load the 3 MB of the page `/docs`: a server loads them when it starts", () => {
  const entry = fileURLToPath(import.meta.resolve("effect/http-api"))
  const loaded = [...loads(entry)]
  assert.isTrue(loaded.some((file) => /\/HttpApiScalar\.[jt]s$/.test(file)))
  assert.deepStrictEqual(loaded.filter((file) => /\/internal\/httpApi(?:Scalar|Swagger)\./.test(file)), [])
})

it("client and server use only the port: nothing but the command line loads the runtime and the stores", () => {
  const manifest: unknown = JSON.parse(readFileSync(join(packages, "http", "package.json"), "utf8"))
  assert.nestedPropertyVal(manifest, "dependencies.@perennial/domain", "workspace:^")
  for (const name of ["@perennial/runtime", "@perennial/backends"]) {
    assert.notNestedProperty(manifest, `dependencies.${name}`)
    assert.nestedPropertyVal(manifest, `peerDependenciesMeta.${name}.optional`, true)
  }
  const source = join(packages, "http", "src")
  const modules = readdirSync(source, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.startsWith("cli/"))
  const using = modules.filter((name) =>
    /@perennial\/(?:runtime|backends)/.test(readFileSync(join(source, name), "utf8"))
  )
  assert.deepStrictEqual(using, [])
})
