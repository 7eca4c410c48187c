/** Seeded randomness (sfc32). Each purpose has dice of its own, so that a draw for one purpose does not change another. */
import type { Random } from "effect"

export class Dice {
  #a: number
  #b: number
  #c = 0x9e3779b9 | 0
  #d = 1

  constructor(seed: number, purpose: number) {
    this.#a = seed | 0
    this.#b = purpose | 0
    for (let i = 0; i < 12; i++) this.next()
  }

  /** From 0 to below 1. */
  next(): number {
    const sum = (this.#a + this.#b + this.#d) | 0
    this.#d = (this.#d + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }

  /** A whole number from 0 to below `n`. */
  below(n: number): number {
    return Math.floor(this.next() * n)
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<A>(values: readonly [A, ...ReadonlyArray<A>]): A {
    return values[this.below(values.length)] ?? values[0]
  }

  /** Effect's random numbers, drawn with these dice. */
  readonly random: (typeof Random.Random)["Service"] = {
    nextDoubleUnsafe: () => this.next(),
    nextIntUnsafe: () => Math.floor((this.next() * 2 - 1) * Number.MAX_SAFE_INTEGER)
  }
}
