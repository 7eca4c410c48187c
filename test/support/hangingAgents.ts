/**
 * The agents of an application, as `perennial serve` loads them: one that says a word, and does not end.
 */
import { Agents, make } from "@perennial/domain/Agent"
import { Effect } from "effect"

export default Agents.layer([
  make("hanging", (_, emit) => Effect.andThen(emit([{ type: "text", content: "Hm" }]), Effect.never))
])
