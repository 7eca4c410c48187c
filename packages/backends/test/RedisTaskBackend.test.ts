import * as RedisTaskBackend from "@perennial/backends/RedisTaskBackend"
import * as TaskBackendContract from "@perennial/backends/TaskBackendContract"
import { layerEmpty, sayIsSkipped, url } from "./redisServer.ts"

if (url === undefined) {
  sayIsSkipped("the contract of the task backend on Redis")
} else {
  TaskBackendContract.suite(
    "RedisTaskBackend",
    layerEmpty(url, (prefix) => RedisTaskBackend.layerWith({ prefix })),
    { time: "store" }
  )
}
