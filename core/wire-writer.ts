const firstBytes = 64 * 1024;
/** A buffer that has grown beyond this is not kept. */
const keptBytes = 1024 * 1024;

const lengthOf = (value: number): number => (value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5);

/**
 * Writes protobuf's wire format (protobuf.dev/programming-guides/encoding) from front to back. The length of what is nested stands before it: room is left for as many bytes as it will probably take, and what was written is moved
 * where it takes another number.
 */
export class WireWriter {
  #buffer = Buffer.allocUnsafeSlow(firstBytes);
  #at = 0;

  /** The bytes written so far, as a copy; the writer is empty then. */
  finish(): Buffer {
    const bytes = Buffer.from(this.#buffer.subarray(0, this.#at));
    this.#at = 0;
    if (this.#buffer.length > keptBytes) this.#buffer = Buffer.allocUnsafeSlow(firstBytes);
    return bytes;
  }

  /** Forgets what a failure has left. */
  reset(): void {
    this.#at = 0;
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  byte(value: number): void {
    this.#room(1);
    this.#buffer[this.#at] = value;
    this.#at += 1;
  }

  /** Not negative, below 2^32. */
  varint(value: number): void {
    this.#room(5);
    this.#at = this.#putVarint(this.#at, value);
  }

  /** An integer of 64 bits: a negative one as its two's complement. */
  varint64(value: bigint | number): void {
    this.#room(10);
    if (value >= 0 && value < 0x8000_0000) {
      this.#at = this.#putVarint(this.#at, Number(value));
      return;
    }
    const bits = BigInt.asUintN(64, BigInt(value));
    let low = Number(bits & 0xffff_ffffn);
    let high = Number(bits >> 32n);
    while (high > 0 || low > 0x7f) {
      this.#buffer[this.#at] = (low & 0x7f) | 0x80;
      this.#at += 1;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.#buffer[this.#at] = low;
    this.#at += 1;
  }

  double(value: number): void {
    this.#room(8);
    this.#at = this.#buffer.writeDoubleLE(value, this.#at);
  }

  /** With its length. */
  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.raw(value);
  }

  /** With its length. */
  text(value: string): void {
    this.#room(5 + 3 * value.length);
    const start = this.begin(lengthOf(value.length));
    this.#at += this.#buffer.write(value, this.#at, 'utf8');
    this.end(start, lengthOf(value.length));
  }

  /** Begins something nested, whose length will probably take `reserved` bytes; give what it returns to `end`. */
  begin(reserved: number): number {
    this.#room(reserved);
    this.#at += reserved;
    return this.#at;
  }

  end(start: number, reserved: number): void {
    const length = this.#at - start;
    const needed = lengthOf(length);
    if (needed !== reserved) {
      this.#room(5);
      this.#buffer.copyWithin(start - reserved + needed, start, this.#at);
      this.#at += needed - reserved;
    }
    this.#putVarint(start - reserved, length);
  }

  #putVarint(from: number, value: number): number {
    let at = from;
    let left = value;
    while (left > 0x7f) {
      this.#buffer[at] = (left & 0x7f) | 0x80;
      at += 1;
      left >>>= 7;
    }
    this.#buffer[at] = left;
    return at + 1;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#buffer.length, this.#at + bytes));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

/** What a message has that writes its own fields, faster than they would be found out from its descriptor. */
export const WRITE = Symbol('write the fields');

export interface SelfWriting {
  readonly [WRITE]: (writer: WireWriter) => void;
}

export const writesItself = (value: unknown): value is SelfWriting => typeof value === 'object' && value !== null && WRITE in value;
