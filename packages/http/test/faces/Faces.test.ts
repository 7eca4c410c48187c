/** What holds for every face. */
import { assert, describe, it } from "@effect/vitest"
import * as A2a from "@perennial/http/faces/a2a/A2a"
import * as AgUi from "@perennial/http/faces/ag-ui/AgUi"
import * as AiSdk from "@perennial/http/faces/ai-sdk/AiSdk"
import * as LangGraph from "@perennial/http/faces/langgraph/LangGraph"
import * as Mcp from "@perennial/http/faces/mcp/Mcp"
import * as OpenAi from "@perennial/http/faces/openai/OpenAi"
import { Effect } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { checkPolicies } from "../../src/internal/policies.ts"
import { json, makeCall, post, problem } from "../support.ts"

const source = fileURLToPath(new URL("../../src", import.meta.url))
const imports = /^(?:import|export)\s+(?:[^"']*?\sfrom\s+)?["'](\.[^"']+)["']/gm

/** The modules of the package, and what they import of it. */
const modules = readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => ({
    name,
    imports: [...readFileSync(join(source, name), "utf8").matchAll(imports)].map(([, path = ""]) =>
      relative(source, join(source, dirname(name), path))
    )
  }))

const faceOf = (name: string): string | undefined => /^faces\/([^/]+)\//.exec(name)?.[1]

const faces = {
  a2a: A2a.face,
  "ag-ui": AgUi.face,
  "ai-sdk": AiSdk.face,
  langgraph: LangGraph.face,
  mcp: Mcp.face,
  openai: OpenAi.face
}

/** A colon inside a segment begins no parameter. */
const documentedPath = (path: string): string => path.replaceAll(/(?<=\/):(\w+)/g, "{$1}")

describe("faces", () => {
  it("no module outside a face imports it, so that a face that is not mounted is not loaded", () => {
    const names = new Set(modules.flatMap(({ name }) => faceOf(name) ?? []))
    assert.deepStrictEqual([...names].toSorted(), Object.keys(faces).toSorted())
    for (const { imports, name } of modules) {
      for (const imported of imports) {
        const face = faceOf(imported)
        assert.isTrue(face === undefined || face === faceOf(name), `${name} imports ${imported}`)
      }
    }
  })

  it.effect("every endpoint of a face has a user", () => checkPolicies(Object.values(faces).map(({ group }) => group)))

  for (const [name, face] of Object.entries(faces)) {
    const endpoints = Object.values(face.group.endpoints)

    it.effect(`${name}: its paths exist only where it is mounted, in the document and with 405, too`, () =>
      Effect.gen(function*() {
        const without = yield* makeCall()
        const mounted = yield* makeCall({ server: { faces: [face], prefix: "/agents" } })
        const { paths } = yield* json(yield* mounted("/agents/openapi.json"))
        const { paths: fewer } = yield* json(yield* without("/openapi.json"))
        for (const { method, path } of endpoints) {
          const documented = documentedPath(path)
          assert.property(paths, documented)
          assert.notProperty(fewer, documented)
          assert.strictEqual(
            (yield* problem(yield* without(path, { method }))).type,
            "urn:perennial:problem:route-not-found"
          )
          const wrong = yield* problem(yield* mounted(`/agents${path}`, { method: "PUT" }))
          assert.strictEqual(wrong.status, 405)
          assert.include(wrong.allow, method)
        }
      }))

    it.effect(`${name}: the server accepts the example of each body`, () =>
      Effect.gen(function*() {
        const call = yield* makeCall({ server: { faces: [face] } })
        const { paths } = yield* json(yield* call("/openapi.json"))
        for (const { method, path } of endpoints) {
          const operation = Object(paths)[documentedPath(path)][method.toLowerCase()]
          const example = operation.requestBody?.content["application/json"].example
          if (example === undefined) continue
          const answer = yield* call(path.replace(":agentId", "echo"), { ...post(example), method })
          // The body is accepted, and there is no task that the path could name.
          assert.strictEqual(answer.status, path.includes(":taskId") ? 404 : 200)
        }
      }))
  }
})
