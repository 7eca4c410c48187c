/** All keys that do something, with what they do. A page can handle no other single key, and the list of shortcuts shows each. */

/** Keys that work while nobody types, by the place where they work. */
export const shortcuts = {
  "Everywhere": { "n": "New conversation", "/": "Search", "i": "Inbox", "t": "Tasks", "?": "This list" },
  "In a conversation": { e: "Edit the last message", r: "Answer again" },
  "In a list": {
    j: "Next",
    k: "Previous",
    Enter: "Open",
    a: "Allow, in the inbox",
    d: "Deny, in the inbox",
    c: "Cancel, in the tasks"
  }
} as const

/** Keys of the box in which a person writes. */
export const whileWriting = {
  "Enter": "Send, or queue",
  "Shift Enter": "New line",
  "Ctrl Enter": "Stop the answer and send",
  "Esc": "Stop the answer"
} as const

type KeyOf<A> = A extends unknown ? keyof A : never

/** A key that works while nobody types, as the browser names it. */
export type Shortcut = KeyOf<(typeof shortcuts)[keyof typeof shortcuts]>
