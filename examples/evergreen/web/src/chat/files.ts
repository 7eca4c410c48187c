/** Files that a person pastes, drops or chooses, with the limits of PROTOCOL.md. */
import type { File as Attached } from "../api.ts"

const maxFiles = 10
const maxBytes = 5 * 1024 * 1024

const base64 = (file: File): Promise<string> =>
  new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.addEventListener("load", () => resolve(String(reader.result).replace(/^[^,]*,/, "")))
    reader.addEventListener("error", () => reject(reader.error ?? new Error("unreadable")))
    reader.readAsDataURL(file)
  })

const sizeOf = ({ data }: Attached): number => data.length * 0.75

/** The files with those that were added, or what is wrong. */
export const attach = async (
  before: ReadonlyArray<Attached>,
  added: ReadonlyArray<File>
): Promise<ReadonlyArray<Attached> | string> => {
  if (before.length + added.length > maxFiles) return `A message has at most ${maxFiles} files.`
  const bytes = before.map(sizeOf).concat(added.map(({ size }) => size)).reduce((sum, size) => sum + size, 0)
  if (bytes > maxBytes) return "The files of a message have at most 5 MiB together."
  try {
    const files = await Promise.all(added.map(async (file): Promise<Attached> => ({
      type: "file",
      mediaType: file.type.replace(/;.*/, "") || "application/octet-stream",
      data: await base64(file),
      name: file.name.slice(0, 255)
    })))
    return [...before, ...files]
  } catch {
    return "A file cannot be read."
  }
}
