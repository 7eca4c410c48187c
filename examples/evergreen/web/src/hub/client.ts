/** A tab's end of the hub: it tells what the tab wants, and passes on the news. */
import { persistent } from "../later.ts"
import { mayNotify } from "../settings.ts"
import type { News, Place, Source, Wish } from "./messages.ts"
// oxlint-disable-next-line import/default -- Vite makes this module
import workerUrl from "./worker.ts?sharedworker&url"

interface Policy {
  readonly createScriptURL: (url: string) => string
}

// The one script that the page loads by its URL: the Content-Security-Policy allows a policy of this name alone.
const policy: Policy = (globalThis as { trustedTypes?: { createPolicy: (name: string, rules: Policy) => Policy } })
  .trustedTypes?.createPolicy("evergreen", { createScriptURL: (url) => url })
  ?? { createScriptURL: (url) => url }

const follows = new Map<Source, () => Place>()
const listeners = new Set<(news: News) => void>()
const lock = `evergreen:${crypto.randomUUID()}`
let holdsLock = false
let port: MessagePort | undefined

const ask = (wish: Partial<Wish> = {}): void => {
  port?.postMessage({
    visible: !document.hidden || mayNotify(),
    follows: document.hidden ? [] : [...follows].map(([source, place]) => ({ source, after: place() })),
    lock: holdsLock ? lock : "",
    ...wish
  })
}

const listen = (to: MessagePort): void => {
  port = to
  port.addEventListener("message", ({ data }: MessageEvent<News>) => {
    for (const listener of listeners) listener(data)
  })
  port.start()
  ask()
}

/** A browser without shared workers, such as some of phones: the page is its own hub. Only one of its pages is visible. */
const listenHere = async (): Promise<void> => {
  const { connect } = await persistent(() => import("./hub.ts"))
  const { port1, port2 } = new MessageChannel()
  connect(port1)
  listen(port2)
}

/** Begins. Afterwards `follow` and `unfollow` say what the tab shows. */
export const begin = (): void => {
  // The lock is held until the tab is gone, even if it crashes: the hub waits for it. The hub would get a lock that the tab does
  // not hold yet, and would forget the tab.
  void navigator.locks?.request(lock, () => {
    holdsLock = true
    ask()
    return new Promise(() => {})
  })
  document.addEventListener("visibilitychange", () => ask())
  addEventListener("pagehide", () => ask({ bye: true, visible: false }))
  addEventListener("pageshow", ({ persisted }) => persisted && ask())
  if (!("SharedWorker" in globalThis)) return void listenHere()
  const worker = new SharedWorker(policy.createScriptURL(workerUrl), { type: "module", name: "evergreen" })
  worker.addEventListener("error", () => void listenHere(), { once: true })
  listen(worker.port)
}

/** Listens until the returned function is called. */
export const onNews = (listener: (news: News) => void): () => void => {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

/** `place` is that of the last event that the tab has. It is asked again when the tab is seen again. */
export const follow = (source: Source, place: () => Place): void => {
  follows.set(source, place)
  ask()
}

export const unfollow = (source: Source): void => {
  follows.delete(source)
  ask()
}
