/** All shortcuts, in words. */
const shortcuts: ReadonlyArray<readonly [string, ReadonlyArray<readonly [string, string]>]> = [
  ["Everywhere", [
    ["N", "New conversation"],
    ["/", "Search"],
    ["I", "Inbox"],
    ["T", "Tasks"],
    ["?", "This list"]
  ]],
  ["In a conversation", [
    ["Enter", "Send, or queue"],
    ["Shift Enter", "New line"],
    ["Ctrl Enter", "Stop the answer and send"],
    ["Esc", "Stop the answer"],
    ["E", "Edit the last message"],
    ["R", "Answer again"]
  ]],
  ["In a list", [
    ["J", "Next"],
    ["K", "Previous"],
    ["Enter", "Open"],
    ["A", "Allow, in the inbox"],
    ["D", "Deny, in the inbox"]
  ]]
]

export default function ShortcutList() {
  return (
    <div className="shortcuts">
      {shortcuts.map(([place, keys]) => (
        <section key={place}>
          <h3>{place}</h3>
          <dl>
            {keys.map(([key, does]) => (
              <div key={key}>
                <dt>{key.split(" ").map((one) => <kbd key={one}>{one}</kbd>)}</dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </div>
  )
}
