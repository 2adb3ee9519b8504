import { openSync, readFileSync, writeSync } from 'node:fs';

const headerBytes = 8;
const mostBytes = 1 << 20;

/** Writes to a file how many inputs were begun, and the one that is at work: what is there can be read also when the process that wrote it hangs or is gone. */
export class ProgressWriter {
  readonly #file: number;
  readonly #header = Buffer.alloc(headerBytes);
  #steps = 0;

  constructor(path: string) {
    this.#file = openSync(path, 'w');
    this.#header.writeInt32LE(-1, 4);
    this.touch();
  }

  begin(input: Buffer): void {
    const shown = input.subarray(0, mostBytes);
    this.#header.writeInt32LE(shown.length, 4);
    this.#write(shown);
  }

  /** Something goes on that is no input: opening, checking. */
  touch(): void {
    this.#write(Buffer.alloc(0));
  }

  #write(input: Buffer): void {
    this.#steps = (this.#steps + 1) % 2 ** 32;
    this.#header.writeUInt32LE(this.#steps, 0);
    writeSync(this.#file, Buffer.concat([this.#header, input]), 0, headerBytes + input.length, 0);
  }
}

export interface Progress {
  readonly steps: number;
  /** Null before the first. */
  readonly input: Uint8Array | null;
}

/** What a run has written last. */
export function readProgress(path: string): Progress {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return { steps: 0, input: null };
  }
  if (bytes.length < headerBytes) return { steps: 0, input: null };
  const length = bytes.readInt32LE(4);
  return { steps: bytes.readUInt32LE(0), input: length < 0 ? null : bytes.subarray(headerBytes, headerBytes + length) };
}
