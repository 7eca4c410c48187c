/** Who the person is, asked for once. */
import { useEffect } from "react"
import * as api from "../api.ts"
import { makeStore } from "../state/store.ts"

const store = makeStore<{ readonly me: api.Me | undefined }>({ me: undefined })

let asked = false

export const useMe = (): api.Me | undefined => {
  useEffect(() => {
    if (asked) return
    asked = true
    api.me().then((me) => store.set(() => ({ me })), () => {
      asked = false
    })
  }, [])
  return store.use((state) => state.me)
}

/** Whether the person sees the records of everybody's tasks. */
export const useOperator = (): boolean => useMe()?.roles.includes("operator") === true
