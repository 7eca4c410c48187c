/** The webhooks of the person: where messages go, and which of them get nothing any more. */
import { at, get, type Page, send } from "../api.ts"
import { attempt } from "../attempt.ts"
import { usePolled } from "./usePolled.ts"
import "../css/operator.css"

interface Webhook {
  readonly id: string
  readonly url: string
  readonly topics: ReadonlyArray<string>
  readonly disabledReason?: string
}

const every = 5_000

const read = (): Promise<Page<Webhook>> => get("/webhooks")

export function Webhooks() {
  // A server without webhooks has no such path.
  const { again, value } = usePolled(read, every)
  if (value === undefined || value.items.length === 0) return null
  const enable = async (id: string): Promise<void> => {
    await send("PATCH", `/webhooks/${at(id)}`, {})
    again()
  }
  return (
    <section>
      <h2>Webhooks</h2>
      <ul className="webhooks">
        {value.items.map(({ disabledReason, id, topics, url }) => (
          <li key={id}>
            <span className="what">
              <b>{url}</b>
              <span className="soft">{topics.join(", ")}</span>
              {disabledReason === undefined ? null : <span className="danger">Nothing is sent: {disabledReason}</span>}
            </span>
            {disabledReason === undefined
              ? <span className="chip">enabled</span>
              : (
                <button
                  type="button"
                  className="quiet small"
                  aria-label={`Enable again: ${url}`}
                  onClick={() => attempt(enable(id))}
                >
                  Enable again
                </button>
              )}
          </li>
        ))}
      </ul>
    </section>
  )
}
