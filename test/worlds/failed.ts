import { Data } from "effect"

/** Why the command exits with 1. */
export class Failed extends Data.TaggedError("Failed")<{ readonly message: string }> {}
