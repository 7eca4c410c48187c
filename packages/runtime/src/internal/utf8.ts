/** UTF-8 (RFC 3629). */

/** Encoding Standard, section 8.2: in every platform, but in no ECMAScript library. */
declare const TextEncoder: new() => { readonly encode: (text: string) => Uint8Array }

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
