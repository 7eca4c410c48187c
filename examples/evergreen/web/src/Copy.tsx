/** A button that copies a text, and says so. */
import { Check, Copy as CopyIcon } from "lucide-react"
import { useEffect, useState } from "react"

export function Copy({ label, text }: { readonly text: string; readonly label: string }) {
  const [copied, setCopied] = useState(false)
  useEffect(() => {
    if (!copied) return
    const timer = setTimeout(() => setCopied(false), 2_000)
    return () => clearTimeout(timer)
  }, [copied])
  const copy = () => void navigator.clipboard?.writeText(text).then(() => setCopied(true), () => {})
  return (
    <button type="button" className="ghost small" aria-label={copied ? "Copied" : label} title={label} onClick={copy}>
      {copied ? <Check aria-hidden /> : <CopyIcon aria-hidden />}
      {copied ? "Copied" : "Copy"}
    </button>
  )
}
