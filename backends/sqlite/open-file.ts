import { statSync } from 'node:fs';
import { Connection, type ConnectionOptions } from './connection.ts';
import { ReadFence } from './read-fence.ts';

/** The connection with what it knows of the fence. */
export interface Opened {
  readonly connection: Connection;
  readonly fence: ReadFence;
}

/** One connection to the file at a path, opened when it is first used, and anew where the path no longer leads to the file that is open: what is written into a file that was replaced is lost. */
export class OpenFile implements Disposable {
  readonly #options: ConnectionOptions;
  #open: (Opened & { readonly identity: string | null }) | null = null;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Whether a connection is open. */
  get isOpen(): boolean {
    return this.#open !== null;
  }

  /** The connection for the next transaction. Throws what `Connection.open` throws. */
  get(): Opened {
    if (this.#open !== null && identityOf(this.#options.path) !== this.#open.identity) this.close();
    if (this.#open === null) {
      const connection = Connection.open(this.#options);
      this.#open = { connection, fence: new ReadFence(connection), identity: identityOf(this.#options.path) };
    }
    return this.#open;
  }

  /** Closes the connection; the next use opens another. */
  close(): void {
    this.#open?.connection[Symbol.dispose]();
    this.#open = null;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Device and number of the file that a path leads to, null when there is none to be seen: opening it will tell why. */
function identityOf(path: string): string | null {
  try {
    const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
    return stat === undefined ? null : `${stat.dev}:${stat.ino}`;
  } catch {
    return null;
  }
}
