/** What the person has set in this browser. */
import { makeStore } from "./state/store.ts"

export interface Settings {
  readonly theme: "system" | "light" | "dark"
  readonly density: "comfortable" | "compact"
  readonly shortcuts: "on" | "off"
  readonly notifications: "on" | "off"
}

const defaults: Settings = { theme: "system", density: "comfortable", shortcuts: "on", notifications: "off" }

const stored = (name: keyof Settings): string | null => {
  try {
    return localStorage.getItem(name)
  } catch {
    return null
  }
}

const load = (): Settings => {
  // What another version has stored is not shown, but counts as not set where the value is unknown to the page's styles.
  const found = Object.keys(defaults).flatMap((name) => {
    const value = stored(name as keyof Settings)
    return value === null || value === "" ? [] : [[name, value]]
  })
  return { ...defaults, ...Object.fromEntries(found) }
}

const store = makeStore<Settings>(load())

export const useSetting = <K extends keyof Settings>(name: K): Settings[K] => store.use((settings) => settings[name])

export const setting = <K extends keyof Settings>(name: K): Settings[K] => store.get()[name]

/** The person wants to know also while no tab of the app is seen. */
export const mayNotify = (): boolean =>
  setting("notifications") === "on" && "Notification" in globalThis && Notification.permission === "granted"

/** The page shows it at once; `theme.js` shows it before the first paint of the next visit. */
export const set = <K extends keyof Settings>(name: K, value: Settings[K]): void => {
  try {
    if (value === defaults[name]) localStorage.removeItem(name)
    else localStorage.setItem(name, value)
  } catch {
    // The browser keeps nothing: the setting lasts until the page is closed.
  }
  if (name === "theme" || name === "density") {
    if (value === defaults[name]) delete document.documentElement.dataset[name]
    else document.documentElement.dataset[name] = value
  }
  store.set(() => ({ [name]: value }))
}

/** The other one of light and dark, as it is shown now. */
export const toggleTheme = (): void => {
  const { theme } = store.get()
  const dark = theme === "system" ? matchMedia("(prefers-color-scheme: dark)").matches : theme === "dark"
  set("theme", dark ? "light" : "dark")
}
