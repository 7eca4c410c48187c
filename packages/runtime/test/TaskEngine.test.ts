import { TaskEngine } from "@perennial/runtime/TaskEngine"
import * as TaskEngineContract from "@perennial/runtime/TaskEngineContract"
import * as SteppingEngine from "./support/steppingEngine.ts"

TaskEngineContract.suite("TaskEngine.layerLocal", TaskEngine.layerLocal)
TaskEngineContract.suite("an engine that releases tasks between steps", SteppingEngine.layer)
