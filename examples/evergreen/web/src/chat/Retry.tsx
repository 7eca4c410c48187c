/** A model has failed, and is asked again. */
import { RotateCcw } from "lucide-react"
import { useNow } from "../time.tsx"

/** What a model failed with, for a person. */
const failures: Readonly<Record<string, string>> = {
  ModelOverloaded: "The model is overloaded.",
  ModelRateLimited: "The model accepts no more requests for now.",
  ModelUnreachable: "The model cannot be reached.",
  ModelResponseInvalid: "The model gave an answer that cannot be read."
}

export default function Retry({ at, reason, tryNumber }: {
  readonly reason: string
  readonly tryNumber: number
  /** When the model is asked again, in milliseconds. */
  readonly at: number
}) {
  const seconds = Math.ceil((at - useNow(500)) / 1_000)
  return (
    <p className="status">
      <RotateCcw aria-hidden /> {failures[reason] ?? "The request to the model failed."}{" "}
      {seconds > 0 ? `Try ${tryNumber} in ${seconds} s.` : `Try ${tryNumber} begins.`}
    </p>
  )
}
