/** What a person can set in this browser, and what runs on the other side. */
import { useEffect, useState } from "react"
import * as api from "./api.ts"
import { attempt } from "./attempt.ts"
import { Header } from "./Header.tsx"
import { Webhooks } from "./operator/Webhooks.tsx"
import { set, type Settings, useSetting } from "./settings.ts"
import ShortcutList from "./ShortcutList.tsx"
import "./css/pages.css"

function Choice<K extends keyof Settings>({ about, choices, legend, name, onChoose }: {
  readonly name: K
  readonly legend: string
  readonly about: string
  readonly choices: ReadonlyArray<readonly [Settings[K], string]>
  readonly onChoose?: (value: Settings[K]) => Promise<Settings[K]>
}) {
  const chosen = useSetting(name)
  const [refused, setRefused] = useState(false)
  const choose = async (value: Settings[K]) => {
    const allowed: Settings[K] = await (onChoose?.(value) ?? value)
    setRefused(allowed !== value)
    set(name, allowed)
  }
  return (
    <fieldset className="choice">
      <legend>{legend}</legend>
      <p className="soft">{about}</p>
      <div className="segments">
        {choices.map(([value, label]) => (
          <label key={value}>
            <input type="radio" name={name} checked={chosen === value} onChange={() => void choose(value)} />
            <span>{label}</span>
          </label>
        ))}
      </div>
      {refused
        ? <p className="danger" role="alert">This browser does not allow it. Its settings of this site can.</p>
        : null}
    </fieldset>
  )
}

const allow = async (value: "on" | "off"): Promise<"on" | "off"> => {
  if (value === "off" || !("Notification" in globalThis)) return "off"
  return await Notification.requestPermission() === "granted" ? "on" : "off"
}

/** The next person finds no drafts. */
const leave = (): void => {
  sessionStorage.clear()
  location.reload()
}

export default function SettingsPage() {
  const [version, setVersion] = useState<string>()
  const [me, setMe] = useState<api.Me>()
  useEffect(() => {
    document.title = "Settings · Evergreen"
    api.version().then(setVersion, () => {})
    api.me().then(setMe, () => {})
  }, [])
  return (
    <main id="main" className="page settings">
      <Header title="Settings" />
      <div className="column">
        <Choice
          name="theme"
          legend="Theme"
          about="Light, dark, or as the system is."
          choices={[["system", "System"], ["light", "Light"], ["dark", "Dark"]]}
        />
        <Choice
          name="density"
          legend="Density"
          about="How much fits on the screen."
          choices={[["comfortable", "Comfortable"], ["compact", "Compact"]]}
        />
        <Choice
          name="notifications"
          legend="Notifications"
          about="One notification when a tool call waits for you and this window is in the background."
          choices={[["off", "Off"], ["on", "On"]]}
          onChoose={allow}
        />
        <Choice
          name="shortcuts"
          legend="Single-key shortcuts"
          about="Turn them off if your voice control types letters."
          choices={[["on", "On"], ["off", "Off"]]}
        />
        <Webhooks />
        <section>
          <h2>Shortcuts</h2>
          <ShortcutList />
        </section>
        <section>
          <h2>This server</h2>
          <p className="soft">
            {version === undefined ? "Perennial" : `Perennial ${version}`}. The <a href="/docs">API</a>{" "}
            is open to other programs.
          </p>
          {me === undefined || me.userId === "local" ? null : (
            <p className="soft">
              You are <b>{me.userId}</b>
              {me.roles.length === 0 ? "" : `, ${me.roles.join(", ")}`}.{" "}
              <button
                type="button"
                className="quiet small"
                onClick={() => attempt(api.signOut().then(leave))}
              >
                Sign out
              </button>
            </p>
          )}
        </section>
      </div>
    </main>
  )
}
