/** The agents of an application, as `--agents` loads them. */
import { Agents } from "@perennial/domain/Agent"
import { makeEcho } from "./support.ts"

export default Agents.layer([makeEcho().agent])
