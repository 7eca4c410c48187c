import { StrictMode } from "react"
import { createRoot } from "react-dom/client"
import { App } from "./App.tsx"
import "./css/base.css"
import "./css/layout.css"
import "./css/chat.css"
import * as hub from "./hub/client.ts"
import { loadAll } from "./later.ts"
import * as conversation from "./state/conversation.ts"
import * as lists from "./state/lists.ts"
import { takeTokenFromAddress } from "./tokenInAddress.ts"

await takeTokenFromAddress()
lists.begin()
conversation.begin()
hub.begin()
void loadAll()

const root = document.getElementById("root")
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>
  )
}
