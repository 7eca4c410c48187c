/** The hub in a shared worker: all tabs of the browser have one. */
import { connect } from "./hub.ts"

globalThis.addEventListener("connect", (event) => {
  const [port] = (event as MessageEvent).ports
  if (port !== undefined) connect(port)
})
