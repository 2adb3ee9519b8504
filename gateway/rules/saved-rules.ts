import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { keyspaceSchema } from '../../core/keyspace.ts';
import { rulesDocumentSchema } from '../../core/rules-document.ts';

const savedSchema = z.strictObject({ rules: rulesDocumentSchema, keyspaces: z.array(keyspaceSchema) });

/** The last good rules with the keyspaces that they name. Holds no secret. */
export type SavedRules = z.infer<typeof savedSchema>;

const fileName = 'last-good-rules.json';

/** Keeps the last good rules in a directory, so that a gateway can start while Consul is away. Null directory: keeps nothing. */
export class RulesFile {
  readonly #directory: string | null;
  readonly #onError: (error: unknown) => void;
  #next: SavedRules | null = null;
  #writing: Promise<void> | null = null;

  constructor(directory: string | null, onError: (error: unknown) => void) {
    this.#directory = directory;
    this.#onError = onError;
  }

  /** Writes in the background, so that nobody waits for a disk; of what comes meanwhile only the newest is written. */
  keep(saved: SavedRules): void {
    this.#next = saved;
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when everything is on disk. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  /** Null when there is no file. Rejects when there is one that cannot be used. */
  async load(): Promise<SavedRules | null> {
    if (this.#directory === null) return null;
    try {
      return savedSchema.parse(JSON.parse(await readFile(join(this.#directory, fileName), 'utf8')));
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
      throw error;
    }
  }

  async #writeAll(): Promise<void> {
    while (this.#next !== null) {
      const saved = this.#next;
      this.#next = null;
      try {
        await this.#write(saved);
      } catch (error) {
        this.#onError(error);
      }
    }
    this.#writing = null;
  }

  /** Replaces the file as a whole: a crash leaves the old or the new one. */
  async #write(saved: SavedRules): Promise<void> {
    if (this.#directory === null) return;
    await mkdir(this.#directory, { recursive: true });
    const path = join(this.#directory, fileName);
    await writeFile(`${path}.new`, JSON.stringify(saved, null, 2), { mode: 0o600, flush: true });
    await rename(`${path}.new`, path);
  }
}
