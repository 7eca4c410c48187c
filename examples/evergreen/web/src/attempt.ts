/** What a person asked for with a click, and what failed: a button has no place to say it. */
import { makeStore } from "./state/store.ts"

const store = makeStore<{ readonly failure: string | undefined }>({ failure: undefined })

export const useFailure = (): string | undefined => store.use(({ failure }) => failure)

export const forget = (): void => store.set(() => ({ failure: undefined }))

export const attempt = (action: Promise<unknown>): void => {
  action.then(forget, (error: unknown) => {
    // A request that got no answer fails with a `TypeError` whose text is the browser's.
    const failure = error instanceof TypeError ? "The server does not answer." : (error as Error).message
    store.set(() => ({ failure }))
  })
}
