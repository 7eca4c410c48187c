/** Files in base64. They are valid unless their name says otherwise. */
import { Result } from "effect"
import { Base64 } from "effect/encoding"

/** An image of one pixel. */
export const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

/** The same image with additional bytes before its last chunk, which has 12 bytes. */
export const pngOf = (bytes: number): string => {
  const small = Result.getOrThrow(Base64.decode(png))
  const large = new Uint8Array(small.length + bytes)
  large.set(small.subarray(0, -12))
  large.set(small.subarray(-12), large.length - 12)
  return Base64.encode(large)
}

export const pdf = Base64.encode("%PDF-1.4\n%%EOF")

/** An image and a document without their ends. */
export const cutPng = png.slice(0, 40)
export const cutPdf = Base64.encode("%PDF-1.4")
