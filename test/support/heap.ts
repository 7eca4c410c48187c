/**
 * What a process holds on to, measured when its garbage is collected.
 */
import { Effect } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

// What finalizers and later turns let go of is gone, too.
const collected = Effect.sync(collect).pipe(Effect.andThen(Effect.sleep("20 millis")), Effect.repeat({ times: 3 }))

/** Bytes of objects and texts. */
export const heapBytes = Effect.andThen(collected, Effect.sync(() => process.memoryUsage().heapUsed))

/** Bytes of objects, texts and buffers. */
export const heldBytes = Effect.andThen(
  collected,
  Effect.sync(() => {
    const { external, heapUsed } = process.memoryUsage()
    return heapUsed + external
  })
)
