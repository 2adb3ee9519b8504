import { z } from 'zod';
import { keyspaceSchema } from '../../core/keyspace.ts';
import { rulesDocumentSchema } from '../../core/rules-document.ts';

const savedSchema = z.strictObject({ rules: rulesDocumentSchema, keyspaces: z.array(keyspaceSchema) });

/** The last good rules with the keyspaces that they name. Holds no secret. */
export type SavedRules = z.infer<typeof savedSchema>;

/** Where the text of the last good rules outlives the process. */
export interface RulesDisk {
  /** Null: there is none yet. Rejects when there is one that cannot be read. */
  read(): Promise<string | null>;
  /** Replaces it as a whole: a crash leaves the old or the new one. */
  write(text: string): Promise<void>;
}

/** Keeps the last good rules, so that a gateway can start while Consul is away. Without a disk: keeps nothing. */
export class SavedRulesKeeper {
  readonly #disk: RulesDisk | null;
  readonly #onError: (error: unknown) => void;
  #next: SavedRules | null = null;
  #writing: Promise<void> | null = null;

  constructor(disk: RulesDisk | null, onError: (error: unknown) => void) {
    this.#disk = disk;
    this.#onError = onError;
  }

  /** Writes in the background, so that nobody waits for a disk; of what comes meanwhile only the newest is written. */
  keep(saved: SavedRules): void {
    if (this.#disk === null) return;
    this.#next = saved;
    this.#writing ??= this.#writeAll(this.#disk);
  }

  /** Resolves when everything is on disk. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  /** Null when nothing was saved. Rejects when what was cannot be used. */
  async load(): Promise<SavedRules | null> {
    const text = (await this.#disk?.read()) ?? null;
    return text === null ? null : savedSchema.parse(JSON.parse(text));
  }

  async #writeAll(disk: RulesDisk): Promise<void> {
    while (this.#next !== null) {
      const saved = this.#next;
      this.#next = null;
      try {
        await disk.write(JSON.stringify(saved, null, 2));
      } catch (error) {
        this.#onError(error);
      }
    }
    this.#writing = null;
  }
}
