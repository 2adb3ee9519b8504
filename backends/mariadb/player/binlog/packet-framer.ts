import { SwitchyardError } from '../../../../core/switchyard-error.ts';

const HEADER_BYTES = 4;
/** A packet of this length goes on in the next one. */
const FULL_PACKET = 0xff_ffff;

/** Cuts what comes from a server into its packets. */
export class PacketFramer {
  readonly #onPacket: (packet: Buffer) => void;
  /** What has come of the next packet. */
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Bytes of it, header included; as far as is known. */
  #wanted = HEADER_BYTES;
  /** The whole packets of one that is longer than a packet can be. */
  #parts: Buffer[] = [];
  #sequence: number;

  /** `sequence`: of the next packet. A packet refers to the memory of the chunks that it came in. */
  constructor(sequence: number, onPacket: (packet: Buffer) => void) {
    this.#sequence = sequence;
    this.#onPacket = onPacket;
  }

  /** STORE_UNAVAILABLE: a packet is missing. */
  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#wanted) return;
    let rest = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    for (;;) {
      this.#wanted = rest.length < HEADER_BYTES ? HEADER_BYTES : HEADER_BYTES + rest.readUIntLE(0, 3);
      if (rest.length < this.#wanted) break;
      this.#take(rest.readUInt8(3), rest.subarray(HEADER_BYTES, this.#wanted));
      rest = rest.subarray(this.#wanted);
    }
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
  }

  #take(sequence: number, packet: Buffer): void {
    if (sequence !== this.#sequence) throw new SwitchyardError('STORE_UNAVAILABLE', `the server sent packet ${sequence} where packet ${this.#sequence} is next`);
    this.#sequence = (sequence + 1) & 0xff;
    if (packet.length === FULL_PACKET) this.#parts.push(packet);
    else if (this.#parts.length === 0) this.#onPacket(packet);
    else {
      const whole = Buffer.concat([...this.#parts, packet]);
      this.#parts = [];
      this.#onPacket(whole);
    }
  }
}
