/** A server with tokens wants one. The cookie takes it to every request of this browser. */
import { useState } from "react"

const year = 31_536_000

/** The token of `/#token=<secret>`: a fragment is in no log. */
export const takeTokenFromAddress = (): void => {
  const token = new URLSearchParams(location.hash.slice(1)).get("token")
  if (token === null) return
  keep(token)
  history.replaceState(null, "", location.pathname)
}

const keep = (token: string): void => {
  const secure = location.protocol === "https:" ? "; secure" : ""
  document.cookie = `access_token=${encodeURIComponent(token)}; path=/; samesite=strict; max-age=${year}${secure}`
}

export const signOut = (): void => {
  document.cookie = "access_token=; path=/; samesite=strict; max-age=0"
  location.reload()
}

export function SignIn() {
  const [token, setToken] = useState("")
  return (
    <main id="main" className="sign-in">
      <img src="/icon.svg" alt="" width={44} height={44} />
      <h1>Sign in to Evergreen</h1>
      <p>This server wants a token. The person who runs the server has it.</p>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          keep(token.trim())
          location.reload()
        }}
      >
        <label>
          Token
          <input
            type="password"
            autoComplete="current-password"
            autoFocus
            required
            value={token}
            onChange={(event) => setToken(event.target.value)}
          />
        </label>
        <button className="primary">Sign in</button>
      </form>
    </main>
  )
}
