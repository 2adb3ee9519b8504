import { protocolFault } from './log-fault.ts';

/** Reads numbers and pieces from the front of some bytes to their end. Numbers have their low byte first. Reading behind the end is a fault of the log. */
export class ByteReader {
  readonly bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes;
    this.#at = at;
  }

  get at(): number {
    return this.#at;
  }

  get left(): number {
    return this.bytes.length - this.#at;
  }

  uint8(): number {
    return this.bytes.readUInt8(this.#skip(1));
  }

  /** Of at most 6 bytes. */
  uint(bytes: number): number {
    return this.bytes.readUIntLE(this.#skip(bytes), bytes);
  }

  uint64(): bigint {
    return this.bytes.readBigUInt64LE(this.#skip(8));
  }

  /** The protocol's own form of a number, of 1, 3, 4 or 9 bytes. */
  length(): number {
    const first = this.uint8();
    if (first < 0xfb) return first;
    if (first === 0xfc) return this.uint(2);
    if (first === 0xfd) return this.uint(3);
    if (first !== 0xfe) throw protocolFault(`a length begins with ${first}`);
    const value = this.uint64();
    if (value > 0xffff_ffffn) throw protocolFault(`a length of ${value}`);
    return Number(value);
  }

  /** The same memory. */
  piece(length: number): Buffer {
    const begin = this.#skip(length);
    return this.bytes.subarray(begin, begin + length);
  }

  /** All that is left. */
  rest(): Buffer {
    return this.piece(this.left);
  }

  #skip(length: number): number {
    const begin = this.#at;
    if (length < 0 || begin + length > this.bytes.length) throw protocolFault('an event ends before its last value');
    this.#at = begin + length;
    return begin;
  }
}
