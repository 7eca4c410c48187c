/** UTF-8 (RFC 3629). */

/** Encoding Standard, section 8.2: in every platform, but in no ECMAScript library. */
declare const TextEncoder: new() => { readonly encode: (text: string) => Uint8Array }

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Whether a text has at most so many bytes. A code unit of UTF-16 is one to three: mostly there is nothing to encode. */
export const fits = (text: string, bytes: number): boolean =>
  text.length * 3 <= bytes || (text.length <= bytes && encode(text).length <= bytes)
