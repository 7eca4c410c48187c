/** The routes, the sidebar, and the keys that work everywhere. Pages beside the chat are loaded when they are opened. */
import { Suspense, useEffect, useState } from "react"
import { Redirect, Route, Switch, useLocation } from "wouter"
import { forget, useFailure } from "./attempt.ts"
import { Chat } from "./chat/Chat.tsx"
import { closeDrawer, drawerClosed, useDrawer } from "./drawer.ts"
import { onKeys } from "./keys.ts"
import { later } from "./later.ts"
import { useNotices } from "./notices.ts"
import { Shortcuts } from "./Shortcuts.tsx"
import { Sidebar } from "./Sidebar.tsx"
import * as conversation from "./state/conversation.ts"
import { useLists } from "./state/lists.ts"

const SignIn = later(() => import("./SignIn.tsx"))
const Inbox = later(() => import("./inbox/Inbox.tsx"))
const Tasks = later(() => import("./tasks/Tasks.tsx"))
const TaskPage = later(() => import("./tasks/TaskPage.tsx"))
const Runners = later(() => import("./operator/Runners.tsx"))
const Agents = later(() => import("./Agents.tsx"))
const SettingsPage = later(() => import("./SettingsPage.tsx"))

function NewChat() {
  const [id] = useState(() => crypto.randomUUID())
  return <Chat id={id} isNew />
}

function Pages() {
  // Each visit of the start page is a new conversation.
  const [visits, setVisits] = useState(0)
  const [path] = useLocation()
  useEffect(() => {
    if (path === "/") setVisits((count) => count + 1)
    else if (!path.startsWith("/c/")) conversation.leave()
  }, [path])
  return (
    <Suspense fallback={<main id="main" className="page" aria-busy />}>
      <Switch>
        <Route path="/">
          <NewChat key={visits} />
        </Route>
        <Route path="/c/:id">{({ id }) => <Chat key={id} id={decodeURIComponent(id)} isNew={false} />}</Route>
        <Route path="/inbox">
          <Inbox />
        </Route>
        <Route path="/t">
          <Tasks />
        </Route>
        <Route path="/t/:id">{({ id }) => <TaskPage key={id} id={decodeURIComponent(id)} />}</Route>
        <Route path="/r">
          <Runners />
        </Route>
        <Route path="/a">
          <Agents />
        </Route>
        <Route path="/settings">
          <SettingsPage />
        </Route>
        <Route>
          <Redirect to="/" />
        </Route>
      </Switch>
    </Suspense>
  )
}

function Failure() {
  const failure = useFailure()
  return failure === undefined ? null : (
    <p className="failure" role="alert">
      {failure} <button type="button" className="ghost small" onClick={forget}>Close</button>
    </p>
  )
}

export function App() {
  const [, navigate] = useLocation()
  const signedOut = useLists((state) => state.signedOut)
  const drawer = useDrawer()
  useNotices()
  useEffect(() =>
    onKeys({
      n: () => navigate("/"),
      i: () => navigate("/inbox"),
      t: () => navigate("/t"),
      "/": () => document.querySelector<HTMLElement>(".layout > .sidebar input")?.focus()
    }), [navigate])
  if (signedOut) {
    return (
      <Suspense>
        <SignIn />
      </Suspense>
    )
  }
  return (
    <>
      <a className="skip" href="#main">To the content</a>
      <div className="layout">
        <Sidebar />
        <Pages />
      </div>
      <dialog
        className="drawer"
        aria-label="Menu"
        onClose={drawerClosed}
        onClick={(event) => event.target === event.currentTarget && closeDrawer()}
      >
        {drawer ? <Sidebar /> : null}
      </dialog>
      <Shortcuts />
      <Failure />
    </>
  )
}
