/**
 * The user of a fault run, as programs and as pages of the server's public origin say who they are.
 */
import { UserId } from "@perennial/domain/Ids"

export const userId = UserId.make("local")
export const token = "of-the-fault-run"

/** Where browsers find the servers. Proxies rewrite `Host`, so that no server sees this name. */
export const origin = "https://perennial.example"

export type Headers = Readonly<Record<string, string>>

export const ofProgram: Headers = { authorization: `Bearer ${token}` }

/** What a browser sends with a write of a page: its cookie, and the origin of the page. */
export const ofPage = (from = origin): Headers => ({ cookie: `access_token=${token}`, origin: from })
