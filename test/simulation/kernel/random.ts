/** A seeded source of numbers: sfc32 (Chris Doty-Humphrey, PractRand), begun from a text's 32-bit FNV-1a hashes. The same seed gives the same numbers for ever. */
export class Random {
  readonly #seed: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: string) {
    this.#seed = seed;
    this.#a = fnv(seed, 0x811c9dc5);
    this.#b = fnv(seed, this.#a ^ 0x9e3779b9);
    this.#c = fnv(seed, this.#b ^ 0x85ebca6b);
    for (let round = 0; round < 12; round += 1) this.#next32();
  }

  /** An independent source, the same for the same label. */
  fork(label: string): Random {
    return new Random(`${this.#seed}/${label}`);
  }

  /** In [0, 1). */
  next(): number {
    return this.#next32() / 2 ** 32;
  }

  /** An integer in [0, bound). */
  int(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** In [low, high). */
  between(low: number, high: number): number {
    return low + this.next() * (high - low);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** Exponentially distributed. */
  exponential(mean: number): number {
    return -Math.log(1 - this.next()) * mean;
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.int(choices.length)];
    if (choice === undefined) throw new Error('nothing to pick from');
    return choice;
  }

  /** 32 hexadecimal digits. */
  id(): string {
    return Array.from({ length: 4 }, () => this.#next32().toString(16).padStart(8, '0')).join('');
  }

  #next32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }
}

function fnv(text: string, basis: number): number {
  let hash = basis | 0;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash;
}
