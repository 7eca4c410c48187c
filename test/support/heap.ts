/**
 * The memory that a process holds after a garbage collection.
 */
import { Effect } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

// Finalizers and later turns of the event loop release more memory, so that the garbage is collected several times.
const collected = Effect.sync(collect).pipe(Effect.andThen(Effect.sleep("20 millis")), Effect.repeat({ times: 3 }))

/** The bytes of objects and strings. */
export const heapBytes = Effect.andThen(collected, Effect.sync(() => process.memoryUsage().heapUsed))

/** The bytes of objects, strings and buffers. */
export const heldBytes = Effect.andThen(
  collected,
  Effect.sync(() => {
    const { external, heapUsed } = process.memoryUsage()
    return heapUsed + external
  })
)
