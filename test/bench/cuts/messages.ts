/** One message of PostgreSQL's protocol, version 3. */
export interface Message {
  /** The letter that names it; empty for the first one of a connection, which has none. */
  readonly type: string;
  /** What follows the length. */
  readonly body: Buffer;
}

const lengthBytes = 4;
const nothing = Buffer.alloc(0);

/** Whole messages out of bytes as they arrive, of one direction of a connection. */
export class MessageReader {
  #rest: Buffer = nothing;
  #typeBytes: 0 | 1;

  /** `begins`: the first message is the one with which a client begins. */
  constructor(begins: boolean) {
    this.#typeBytes = begins ? 0 : 1;
  }

  *read(bytes: Buffer): Generator<Message, void, undefined> {
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (rest.length >= this.#typeBytes + lengthBytes) {
      const end = this.#typeBytes + rest.readUInt32BE(this.#typeBytes);
      if (rest.length < end) break;
      const type = rest.toString('latin1', 0, this.#typeBytes);
      const body = rest.subarray(this.#typeBytes + lengthBytes, end);
      rest = rest.subarray(end);
      this.#typeBytes = 1;
      yield { type, body };
    }
    this.#rest = rest;
  }
}

/** The texts of a body that ends each of them with a zero. */
export function textsOf(body: Buffer): readonly string[] {
  return body.toString('utf8').split('\0');
}
