/** The clients that are tested, and the faces that they use. */
import type { Face } from "@perennial/http/Face"
import * as AiSdk from "@perennial/http/faces/ai-sdk/AiSdk"
import type { Client } from "./client.ts"
import { useChat } from "./clients/useChat.ts"
import { workflow } from "./clients/workflow.ts"

export const clients: ReadonlyArray<Client> = [useChat, workflow]

export const faces: ReadonlyArray<Face> = [AiSdk.face]
