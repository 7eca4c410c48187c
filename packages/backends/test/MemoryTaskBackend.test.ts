import * as TaskBackendContract from "@perennial/backends/TaskBackendContract"
import * as MemoryTaskBackend from "@perennial/domain/MemoryTaskBackend"

TaskBackendContract.suite("MemoryTaskBackend", MemoryTaskBackend.layer)
