/** What people call a process: its host and its number there. The rest of the id is random, and is all that some processes have. */
export const hostOf = (runner: string): string => {
  const [, host = "", id = ""] = /^(?:(.+)-)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(runner) ?? []
  return host !== "" ? host : id === "" ? runner : `…${id.slice(-8)}`
}
