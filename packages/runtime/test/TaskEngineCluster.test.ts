import * as SqliteClient from "@perennial/backends/SqliteClient"
import * as TaskEngineCluster from "@perennial/runtime/TaskEngineCluster"
import * as TaskEngineContract from "@perennial/runtime/TaskEngineContract"
import { Layer } from "effect"
import { SingleRunner, TestRunner } from "effect/cluster"
import { Digest } from "effect/crypto"

TaskEngineContract.suite(
  "TaskEngineCluster.layer on TestRunner",
  TaskEngineCluster.layer({ cluster: TestRunner.layer })
)

TaskEngineContract.suite(
  "TaskEngineCluster.layer on SingleRunner over SQLite",
  TaskEngineCluster.layer({
    cluster: Layer.provideMerge(
      SingleRunner.layer({ runnerStorage: "memory", shardingConfig: TaskEngineCluster.shardingConfig() }),
      Layer.merge(Layer.orDie(SqliteClient.layer({ filename: ":memory:" })), Digest.layerWebCrypto)
    )
  })
)
