/** A real nginx with the configuration of deploy/nginx.conf, in front of a server. */
import { describe, it } from "@effect/vitest"
import * as Nginx from "../support/nginx.ts"
import * as Proxied from "../support/proxied.ts"

if (!Nginx.isInstalled) {
  process.stderr.write("Skipped: nginx. There is no nginx; `apt-get install nginx-light` installs it.\n")
}

describe.skipIf(!Nginx.isInstalled)("behind nginx", () => {
  for (const [name, line] of [["on, as in the file", ""], ["off", "proxy_buffering off;"]]) {
    it.live(
      `with buffering ${name}, events of a running task arrive at once`,
      () => Proxied.arrivesAtOnce(Nginx.start, line)
    )
  }

  it.live(
    "P3: a reader resumes after nginx was killed in the middle of a stream: every event once and in order",
    () => Proxied.survivesTheProxy(Nginx.start)
  )

  it.live("accepts the largest files of a message", () => Proxied.acceptsFiles(Nginx.start))
})
