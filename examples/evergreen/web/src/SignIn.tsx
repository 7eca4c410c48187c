/** A server with tokens wants one. The cookie takes it to every request of this browser. */
import { useState } from "react"
import * as api from "./api.ts"
import "./css/pages.css"

export default function SignIn() {
  const [token, setToken] = useState("")
  const [problem, setProblem] = useState<string>()
  const signIn = async () => {
    try {
      await api.signIn(token.trim())
      location.reload()
    } catch (error) {
      const wrong = error instanceof api.Problem && error.status === 401
      setProblem(wrong ? "The server does not know this token." : (error as Error).message)
    }
  }
  return (
    <main id="main" className="sign-in">
      <img src="/icon.svg" alt="" width={44} height={44} />
      <h1>Sign in to Evergreen</h1>
      <p>This server wants a token. The person who runs the server has it.</p>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void signIn()
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
        {problem === undefined ? null : <p role="alert" className="danger">{problem}</p>}
        <button className="primary">Sign in</button>
      </form>
    </main>
  )
}
