/**
 * The cases of agents and their models.
 */
import { type Child, spawn } from "./ipc.ts"
import type { ModelServer } from "./modelServer.ts"
import type { ModelUser } from "./modelUser.ts"
import type { Figure } from "./report.ts"
import type { Round } from "./storeCases.ts"

type ModelCase = (quick: boolean) => Promise<Round>

/** Measures in a new process, which has no garbage of other measurements. The first answers are not measured. */
type Reader = "bare" | "agent" | "tasks" | "bareAiSdk" | "agentAiSdk"

const costOf = async (read: Reader, port: number, quick: boolean): Promise<number> => {
  await using user: Child<ModelUser> = await spawn<ModelUser>("./modelUser.ts")
  await user.call(read, { port, streams: 100, deltas: 100, pause: 10 })
  return await user.call(read, { port, streams: 100, deltas: quick ? 100 : 500, pause: 10 })
}

const name = "delta, 100 answers of 100/s each"

const deltas: ModelCase = async (quick) => {
  await using server = await spawn<ModelServer>("./modelServer.ts")
  const port = await server.call("port")
  const bare = await costOf("bare", port, quick)
  const agent = await costOf("agent", port, quick)
  const tasks = await costOf("tasks", port, quick)
  const figure = (what: string, value: number, target?: Figure["target"]): Figure => ({
    name: `${name}: ${what}`,
    unit: "us CPU",
    value,
    target
  })
  const bareAiSdk = await costOf("bareAiSdk", port, quick)
  const agentAiSdk = await costOf("agentAiSdk", port, quick)
  const aiSdk = "agent, OpenAI by the AI SDK"
  return {
    baseline: [figure("agent", bare), figure("task", bare), figure(aiSdk, bareAiSdk)],
    perennial: [figure("agent", agent, { atMost: 2.2 }), figure("task", tasks), figure(aiSdk, agentAiSdk)]
  }
}

const heapFigure = (what: string, bytes: number, target?: Figure["target"]): Figure => ({
  name: `heap of an agent's task that waits for ${what}`,
  unit: "KiB",
  value: bytes / 1_024,
  target
})

const heap: ModelCase = async (quick) => {
  const figures: Array<Figure> = []
  for (const waitsFor of ["model", "person"] as const) {
    await using user = await spawn<ModelUser>("./modelUser.ts", { exposeGc: true })
    const bytes = await user.call("heap", { count: quick ? 500 : 5_000, waitsFor })
    figures.push(heapFigure(`a ${waitsFor}`, bytes, { value: 25 }))
  }
  return { perennial: figures, baseline: [] }
}

/** The figure includes the connection of each answer. The figure of the bare SDK includes it, too. */
const heapOnSockets: ModelCase = async (quick) => {
  await using server = await spawn<ModelServer>("./modelServer.ts")
  await using user = await spawn<ModelUser>("./modelUser.ts", { exposeGc: true })
  await using bare = await spawn<ModelUser>("./modelUser.ts", { exposeGc: true })
  const port = await server.call("port")
  const count = quick ? 200 : 1_000
  const what = "Claude, with the connection"
  return {
    perennial: [heapFigure(what, await user.call("heap", { count, waitsFor: { port } }))],
    baseline: [heapFigure(what, await bare.call("bareHeap", { count, port }))]
  }
}

export const onModels: { readonly [name: string]: ModelCase } = {
  agentDeltas: deltas,
  agentHeap: heap,
  agentHeapOnSockets: heapOnSockets
}
