/** All shortcuts, in words. */
import { shortcuts, whileWriting } from "./shortcuts.ts"
import "./css/shortcuts.css"

const places: ReadonlyArray<readonly [place: string, keys: Readonly<Record<string, string>>]> = [
  ...Object.entries(shortcuts),
  ["While you write", whileWriting]
]

/** As it is written on the key. */
const label = (key: string): string => key.length === 1 ? key.toUpperCase() : key

export default function ShortcutList() {
  return (
    <div className="shortcuts">
      {places.map(([place, keys]) => (
        <section key={place}>
          <h3>{place}</h3>
          <dl>
            {Object.entries(keys).map(([key, does]) => (
              <div key={key}>
                <dt>{key.split(" ").map((one) => <kbd key={one}>{label(one)}</kbd>)}</dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </div>
  )
}
