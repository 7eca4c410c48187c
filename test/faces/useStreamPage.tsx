/** A page with LangGraph's hook for React. The address has the id of its thread, so that the page knows the thread when it is loaded again. */
import { useStream } from "@langchain/langgraph-sdk/react"
import { useState } from "react"
import { createRoot } from "react-dom/client"

const Page = () => {
  const [threadId, setThreadId] = useState(location.hash.slice(1) || null)
  const stream = useStream({
    apiUrl: location.origin,
    assistantId: "assistant",
    threadId,
    onThreadId: (id) => {
      location.hash = id
      setThreadId(id)
    },
    reconnectOnMount: true,
    fetchStateHistory: true
  })
  const ask = () => stream.submit({ messages: [{ type: "human", content: "wait for it" }] })
  return (
    <>
      <button onClick={() => void ask()}>Ask</button>
      <ol>{stream.messages.map(({ content, id }) => <li key={id}>{content}</li>)}</ol>
      <p role="status">{stream.isLoading ? "It writes." : "It is ready."}</p>
      <p role="alert">{String(stream.error ?? "")}</p>
    </>
  )
}

createRoot(document.body.appendChild(document.createElement("main"))).render(<Page />)
