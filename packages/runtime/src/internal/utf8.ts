/** UTF-8 (RFC 3629). */

/** `TextEncoder` (Encoding Standard, section 8.2) exists on every platform, but not in the ECMAScript library of TypeScript. */
declare const TextEncoder: new() => { readonly encode: (text: string) => Uint8Array }

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
