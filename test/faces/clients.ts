/** The clients that are tested, and the faces that they use. */
import type { Face } from "@perennial/http/Face"
import * as A2a from "@perennial/http/faces/a2a/A2a"
import * as AgUi from "@perennial/http/faces/ag-ui/AgUi"
import * as AiSdk from "@perennial/http/faces/ai-sdk/AiSdk"
import * as LangGraph from "@perennial/http/faces/langgraph/LangGraph"
import * as Mcp from "@perennial/http/faces/mcp/Mcp"
import * as OpenAi from "@perennial/http/faces/openai/OpenAi"
import type { Client } from "./client.ts"
import { a2aHttpJson, a2aJsonRpc } from "./clients/a2a.ts"
import { agUi } from "./clients/agUi.ts"
import { langGraph } from "./clients/langGraph.ts"
import { langGraphPage } from "./clients/langGraphPage.ts"
import { mcp } from "./clients/mcp.ts"
import { mcpTasks } from "./clients/mcpTasks.ts"
import { openai } from "./clients/openai.ts"
import { useChat } from "./clients/useChat.ts"
import { workflow } from "./clients/workflow.ts"

export const clients: ReadonlyArray<Client> = [
  useChat,
  workflow,
  openai,
  agUi,
  a2aJsonRpc,
  a2aHttpJson,
  langGraph,
  langGraphPage,
  mcp,
  mcpTasks
]

export const faces: ReadonlyArray<Face> = [AiSdk.face, OpenAi.face, AgUi.face, A2a.face, LangGraph.face, Mcp.face]
