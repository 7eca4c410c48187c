/** UTF-8 (RFC 3629). */

/** Encoding Standard, section 8.2: in every platform, but in no ECMAScript library. */
declare const TextEncoder: new() => { readonly encode: (text: string) => Uint8Array }

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The bytes of a text. Half of a surrogate pair counts as the replacement character, which `encode` writes for it. */
export const byteLength = (text: string): number => {
  let bytes = 0
  for (const character of text) {
    const codePoint = character.codePointAt(0) ?? 0
    bytes += codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x1_0000 ? 3 : 4
  }
  return bytes
}

/** Whether a text has at most so many bytes. A code unit of UTF-16 is one to three bytes, so that few texts are counted. */
export const fits = (text: string, bytes: number): boolean =>
  text.length * 3 <= bytes || (text.length <= bytes && byteLength(text) <= bytes)
