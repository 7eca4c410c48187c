/**
 * Realistic bugs, each as an edit of a source file. `pnpm test:worlds --canaries` puts one at a time into the sources, and
 * counts the worlds until the oracle finds it. An oracle that finds nothing must show that it can.
 */
import type { Canary } from "./bugs/canary.ts"
import { ofChildren } from "./bugs/ofChildren.ts"
import { ofAgent, ofClient, ofPrivacy } from "./bugs/ofClients.ts"
import { ofEvents } from "./bugs/ofEvents.ts"
import { ofFollowers } from "./bugs/ofFollowers.ts"
import { ofStore } from "./bugs/ofStore.ts"
import { ofTasks } from "./bugs/ofTasks.ts"

export const canaries: ReadonlyArray<Canary> = [
  ...ofStore,
  ...ofEvents,
  ...ofFollowers,
  ...ofTasks,
  ...ofChildren,
  ...ofAgent,
  ...ofClient,
  ...ofPrivacy
]
