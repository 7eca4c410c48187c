/** Times as people read them. */
import { useEffect, useState } from "react"

const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** `0:42`, `12:07`, `1:02:07`. */
export const clock = (millis: number): string => {
  const seconds = Math.max(0, Math.floor(millis / second))
  const two = (value: number) => String(value).padStart(2, "0")
  const hours = Math.floor(seconds / 3_600)
  const minutes = Math.floor(seconds / 60) % 60
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`
}

/** `240 ms`, `3.1 s`, `12 min`. */
export const duration = (millis: number): string => {
  if (millis < second) return `${Math.round(millis)} ms`
  if (millis < minute) return `${(millis / second).toFixed(1)} s`
  if (millis < hour) return `${Math.floor(millis / minute)} min ${Math.floor(millis / second) % 60} s`
  return `${Math.floor(millis / hour)} h ${Math.floor(millis / minute) % 60} min`
}

/** A round time: `200 ms`, `5 s`, `2 min`, `1 h`. */
export const roundDuration = (millis: number): string => {
  if (millis < second) return `${millis} ms`
  if (millis < minute) return `${millis / second} s`
  return millis < hour ? `${millis / minute} min` : `${millis / hour} h`
}

/** `now`, `4 min ago`, `2 h ago`, `3 days ago`. */
export const since = (millis: number): string => {
  if (millis < minute) return "now"
  if (millis < hour) return `${Math.floor(millis / minute)} min ago`
  if (millis < day) return `${Math.floor(millis / hour)} h ago`
  const days = Math.floor(millis / day)
  return days === 1 ? "1 day ago" : `${days} days ago`
}

/** The heading that a list shows above things of this time. */
export const dayOf = (iso: string): string => {
  const midnight = (time: Date) => time.setHours(0, 0, 0, 0)
  const days = Math.round((midnight(new Date()) - midnight(new Date(iso))) / day)
  if (days <= 0) return "Today"
  if (days === 1) return "Yesterday"
  return days < 7 ? "This week" : "Earlier"
}

/** The time now, which moves on by itself. */
export const useNow = (every: number): number => {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every)
    return () => clearInterval(timer)
  }, [every])
  return now
}

export function Elapsed({ from }: { readonly from: number }) {
  const now = useNow(second)
  return <time className="mono">{clock(now - from)}</time>
}

export function Ago({ at }: { readonly at: string }) {
  const now = useNow(30 * second)
  return <time dateTime={at} title={new Date(at).toLocaleString()}>{since(now - Date.parse(at))}</time>
}
