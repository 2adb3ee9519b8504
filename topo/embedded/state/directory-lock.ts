import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ConfigError } from '../../../runtime/config-file.ts';

const FILE = 'lock';

/**
 * Keeps a data directory to one owner, in this process or another, until disposed of. The kernel lets go of it when the process ends in whatever way: Node has no file locks of
 * its own, SQLite's hold for exactly as long as they
 * should. ConfigError when somebody has it.
 */
export class DirectoryLock implements Disposable {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  static take(directory: string): DirectoryLock {
    const database = new DatabaseSync(join(directory, FILE));
    try {
      // Nothing is ever written: without this a journal would lie beside the file.
      database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
      return new DirectoryLock(database);
    } catch (cause) {
      database.close();
      throw new ConfigError(`the data directory ${directory} is in use by another topology server: stop that one, or choose another with --data-dir`, { cause });
    }
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }
}
