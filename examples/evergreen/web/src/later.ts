/**
 * Parts of the app that are not in its first load. They are loaded when the browser is idle, so that they are there also without
 * a network, or when they are needed.
 */
import { type ComponentType, lazy, type LazyExoticComponent } from "react"
import { sleep } from "./sleep.ts"

const interval = 1_000

/** Loads until it succeeds. If the server answers and does not have the part, it has another version of the app by now. */
export const persistent = async <A>(load: () => Promise<A>): Promise<A> => {
  for (let failures = 1;; failures++) {
    try {
      return await load()
    } catch {
      await sleep(interval)
      const answers = await fetch("/health").then(({ ok }) => ok, () => false)
      if (answers && failures > 2) location.reload()
    }
  }
}

const loads: Array<() => Promise<unknown>> = []

export const later = <Props>(
  load: () => Promise<{ readonly default: ComponentType<Props> }>
): LazyExoticComponent<ComponentType<Props>> => {
  let loaded: ReturnType<typeof load> | undefined
  const once = () => loaded ??= persistent(load)
  loads.push(once)
  return lazy(once)
}

const begin = 2_000

/** Loads all parts, one after the other, a little after the first load. */
export const loadAll = async (): Promise<void> => {
  await sleep(begin)
  for (const load of loads) await load()
}
