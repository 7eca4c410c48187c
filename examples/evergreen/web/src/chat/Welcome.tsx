/** A conversation without messages. */
const suggestions = [
  "What happens when I close this page?",
  "Show me a table, a list and some code.",
  "Announce the release to everybody."
]

export function Welcome({ onChoose }: { readonly onChoose: (text: string) => void }) {
  return (
    <div className="messages">
      <div className="empty">
        <img src="/icon.svg" alt="" width={44} height={44} />
        <h2>Ask, and walk away.</h2>
        <p>
          The answer is written on the server. Close the page, lose the network, restart the machine: the answer is here
          when you come back.
        </p>
        <ul>
          {suggestions.map((text) => (
            <li key={text}>
              <button type="button" className="quiet" onClick={() => onChoose(text)}>{text}</button>
            </li>
          ))}
        </ul>
      </div>
    </div>
  )
}
