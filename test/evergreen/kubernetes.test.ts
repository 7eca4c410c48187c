/** The manifests of deploy/kubernetes.yaml: they are valid YAML, fit together, and the server accepts their settings. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Option } from "effect"
import { readFileSync } from "node:fs"
import { parseAllDocuments } from "yaml"
import * as ServerConfig from "../../examples/evergreen/src/ServerConfig.ts"

const documents = parseAllDocuments(readFileSync(new URL("../../deploy/kubernetes.yaml", import.meta.url), "utf8"))
// Kubernetes checks the shape of its objects; these tests check what they say about Perennial.
// oxlint-disable-next-line typescript/no-explicit-any
const objects: ReadonlyArray<any> = documents.map((document) => document.toJS())

const find = (kind: string, name: string) => {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name)
  return found ?? assert.fail(`there is no ${kind} ${name}`)
}
const containerOf = (name: string) => find("Deployment", name).spec.template.spec.containers[0]

const secrets: Record<string, string> = {
  store: "postgres://perennial:secret@postgres/perennial",
  tokens: "alice:secret1",
  "ticket-secret": "x".repeat(32),
  anthropic: "key"
}

/** The environment of a container, as Kubernetes makes it. */
const environmentOf = (name: string): Record<string, string> => {
  const environment: Record<string, string> = {}
  for (const { name: variable, value, valueFrom } of containerOf(name).env) {
    const secret = secrets[valueFrom?.secretKeyRef?.key ?? ""]
    const text = value ?? secret ?? (valueFrom?.fieldRef?.fieldPath === "status.podIP" ? "10.0.0.7" : undefined)
    environment[variable] = String(text ?? assert.fail(`${variable} has no value`)).replaceAll(
      /\$\((\w+)\)/g,
      (_, other: string) => environment[other] ?? assert.fail(`${other} is not defined before ${variable}`)
    )
  }
  return environment
}

const settingsOf = (name: string) =>
  ServerConfig.load.pipe(
    Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(environmentOf(name))))
  )

describe("deploy/kubernetes.yaml", () => {
  it("is valid YAML", () => {
    assert.deepStrictEqual(documents.flatMap(({ errors }) => errors), [])
    assert.isTrue(objects.every(({ apiVersion, kind, metadata }) => apiVersion && kind && metadata.name))
  })

  it.effect("runners execute at the address of their pod, and web nodes execute nothing", () =>
    Effect.gen(function*() {
      const runner = yield* settingsOf("perennial-runner")
      assert.isTrue(runner.execute)
      assert.deepStrictEqual(runner.engine, {
        type: "cluster",
        address: Option.some({ host: "10.0.0.7", port: 24_431 }),
        listen: Option.none(),
        health: "kubernetes",
        labels: Option.some("app=perennial,role=runner")
      })
      const web = yield* settingsOf("perennial-web")
      assert.isFalse(web.execute)
      assert.strictEqual(web.engine.type, "cluster")
    }))

  it("each deployment is probed, ends in time, is replaced one by one, and has a budget", () => {
    for (const name of ["perennial-runner", "perennial-web"]) {
      const { spec } = find("Deployment", name)
      const { livenessProbe, ports, readinessProbe } = containerOf(name)
      assert.strictEqual(readinessProbe.httpGet.path, "/ready")
      assert.strictEqual(livenessProbe.httpGet.path, "/health")
      assert.isTrue(ports.some((port: { name: string }) => port.name === readinessProbe.httpGet.port))
      // 15 seconds for a hand-over, 20 for open requests.
      assert.isAbove(spec.template.spec.terminationGracePeriodSeconds, 35)
      assert.deepStrictEqual(spec.strategy.rollingUpdate, { maxSurge: 1, maxUnavailable: 0 })
      assert.deepStrictEqual(spec.selector.matchLabels, spec.template.metadata.labels)
      const budget = find("PodDisruptionBudget", name)
      assert.strictEqual(budget.spec.maxUnavailable, 1)
      assert.deepStrictEqual(budget.spec.selector, spec.selector)
    }
  })

  it("only pods of Perennial reach the port between runners, and runners may list pods", () => {
    const policy = find("NetworkPolicy", "perennial-runner")
    const runners = policy.spec.ingress.find((rule: { ports: ReadonlyArray<{ port: number }> }) =>
      rule.ports[0]?.port === 24_431
    )
    assert.deepStrictEqual(runners.from, [{ podSelector: { matchLabels: { app: "perennial" } } }])
    const account = find("Deployment", "perennial-runner").spec.template.spec.serviceAccountName
    assert.deepStrictEqual(find("RoleBinding", "perennial-runner").subjects, [{
      kind: "ServiceAccount",
      name: account
    }])
    assert.deepInclude(find("Role", "perennial-runner").rules, {
      apiGroups: [""],
      resources: ["pods"],
      verbs: ["get", "list"]
    })
  })
})
