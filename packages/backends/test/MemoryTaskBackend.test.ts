import * as MemoryTaskBackend from "@perennial/backends/MemoryTaskBackend"
import * as TaskBackendContract from "@perennial/backends/TaskBackendContract"

TaskBackendContract.suite("MemoryTaskBackend", MemoryTaskBackend.layer)
