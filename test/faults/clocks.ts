/**
 * Clocks that are wrong: a process runs with libfaketime (Debian package `faketime`), which adds to its wall clock. Its
 * monotonic clock stays, as on a machine whose clock was set wrong.
 */
import { globSync } from "node:fs"

// Not the program `faketime`: a signal would reach that program instead of the server.
const library = globSync([
  "/usr/lib/faketime/libfaketimeMT.so.1",
  "/usr/lib/*/faketime/libfaketimeMT.so.1",
  "/usr/local/lib/faketime/libfaketimeMT.so.1"
])[0]

export const isInstalled = library !== undefined

const minute = 60
const hour = 60 * minute

/**
 * How far the clocks of one server's processes are ahead, in seconds: later than the deadline of a task, a little late, later than
 * logs are kept, and right.
 */
export const aheadSeconds: ReadonlyArray<number> = isInstalled ? [25 * hour, -3 * minute, 40 * 24 * hour, 0] : [0]

/** Environment variables of a process whose clock is so far ahead. */
export const environment = (seconds: number): Readonly<Record<string, string>> =>
  library === undefined || seconds === 0 ? {} : {
    LD_PRELOAD: library,
    FAKETIME: seconds > 0 ? `+${seconds}` : `${seconds}`,
    // The name of the setting has changed between versions.
    DONT_FAKE_MONOTONIC: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    NO_FAKE_STAT: "1"
  }
