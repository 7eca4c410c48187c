import * as api from "./api.ts"

/** The token of `/#token=<secret>`: a fragment is in no log. */
export const takeTokenFromAddress = async (): Promise<void> => {
  const token = new URLSearchParams(location.hash.slice(1)).get("token")
  if (token === null) return
  history.replaceState(null, "", location.pathname)
  // A token that is not valid leads to the form.
  await api.signIn(token).catch(() => {})
}
