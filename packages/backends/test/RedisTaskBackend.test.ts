import * as RedisTaskBackend from "@perennial/backends/RedisTaskBackend"
import * as TaskBackendContract from "@perennial/backends/TaskBackendContract"
import { layerEmpty, withRedis } from "./redisServer.ts"

withRedis("RedisTaskBackend", (url) => {
  TaskBackendContract.suite(
    "RedisTaskBackend",
    layerEmpty(url, (prefix) => RedisTaskBackend.layerWith({ prefix })),
    { time: "store" }
  )
})
