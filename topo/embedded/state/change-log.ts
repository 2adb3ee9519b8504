import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import type { Clock } from '../../../core/clock.ts';
import { ConfigError } from '../../../runtime/config-file.ts';
import { changeSchema, marksSchema } from './topology-state.ts';

const FILE = 'topology.log';
const NEW_FILE = 'topology.log.new';
const NEWLINE = 0x0a;
const CHECKSUM_DIGITS = 8;
/** A log may grow to this many times its size after the last compaction before it is compacted again. */
const GROWTH = 4;

/** One line of the log. The first says what the file is; a group of changes was written, and is either there or not, as a whole. */
const recordSchema = z.union([
  z.strictObject({ format: z.literal('switchyard-topology-1') }),
  z.strictObject({ changes: z.array(changeSchema) }),
  z.strictObject({ marks: marksSchema }),
]);
export type LogRecord = Readonly<z.infer<typeof recordSchema>>;
const HEADER: LogRecord = { format: 'switchyard-topology-1' };

export interface ChangeLogOptions {
  /** Exists, and nobody else uses it. */
  readonly directory: string;
  readonly clock: Clock;
  /** The log is not compacted while it is smaller. */
  readonly compactAtBytes: number;
  /** Called for everything that the log holds, in order, before `open` resolves. */
  readonly restore: (record: LogRecord) => void;
  /** Everything that has been appended until now, as few records. Called without a pause between an append and the call. */
  readonly snapshot: () => readonly LogRecord[];
  /** A record that was not written to its end, hence never answered, has been cut off. */
  readonly onTorn: (bytes: number) => void;
  /** Called once when the log cannot be written; nothing is taken from then on. */
  readonly onFailure: (error: Error) => void;
}

type Append = Extract<LogRecord, { changes: unknown }>['changes'][number];

/**
 * The changes in a file, in order. What is appended is on the disk when `settled` resolves; what comes while the disk is busy goes there together, as one record with one sync.
 * Each line begins with its checksum. A last record without its newline was not written to its end, hence never answered, and is cut off; any other that is broken is a damaged file and refused.
 */
export class ChangeLog implements AsyncDisposable {
  readonly #options: ChangeLogOptions;
  #file: FileHandle;
  #size: number;
  #compactAt: number;
  #pending: Append[] = [];
  #next = Promise.withResolvers<void>();
  #writing: Promise<void> | null = null;
  #running: Promise<void> | null = null;
  #failure: Error | null = null;

  private constructor(options: ChangeLogOptions, file: FileHandle, size: number) {
    this.#options = options;
    this.#file = file;
    this.#size = size;
    this.#compactAt = Math.max(options.compactAtBytes, size);
  }

  /** Reads what is there, or begins a new log. ConfigError when the file is not a log or damaged. */
  static async open(options: ChangeLogOptions): Promise<ChangeLog> {
    const path = join(options.directory, FILE);
    await rm(join(options.directory, NEW_FILE), { force: true });
    const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    if (content === null) await replace(options.directory, [HEADER]);
    const sound = content === null ? lineOf(HEADER).length : restoreAll(path, content, options.restore);
    const file = await open(path, 'a');
    const torn = content === null ? 0 : content.length - sound;
    if (torn > 0) await file.truncate(sound);
    // Whoever wrote it may have been killed before its sync: what is told of from now on must not be in the system's memory alone.
    await file.datasync();
    await syncFolder(options.directory);
    if (torn > 0) options.onTorn(torn);
    return new ChangeLog(options, file, sound);
  }

  /** Bytes on the disk. */
  get size(): number {
    return this.#size;
  }

  /** Rejects at once when the log has failed. */
  append(change: Append): void {
    if (this.#failure !== null) throw this.#failure;
    this.#pending.push(change);
    if (this.#pending.length === 1 && this.#running === null) {
      this.#running = new Promise<void>((resolve) => this.#options.clock.endOfTurn(resolve)).then(() => this.#run());
    }
  }

  /** Resolves when everything appended until now is on the disk; rejects when that cannot be. */
  settled(): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    if (this.#pending.length > 0) return this.#next.promise;
    return this.#writing ?? Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running;
    this.#failure ??= new Error('the log is closed');
    await this.#file.close();
  }

  async #run(): Promise<void> {
    while (this.#pending.length > 0 && this.#failure === null) {
      const group = this.#pending;
      const { promise, resolve, reject } = this.#next;
      // Whoever waits hears of a failure; with nobody waiting it is not lost either: see onFailure.
      promise.catch(() => undefined);
      this.#pending = [];
      this.#next = Promise.withResolvers();
      this.#writing = promise;
      try {
        await (this.#size > this.#compactAt ? this.#compact() : this.#write(group));
        resolve();
      } catch (cause) {
        this.#fail(new Error(`the log in ${this.#options.directory} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, { cause }), reject);
      }
      this.#writing = null;
    }
    this.#running = null;
  }

  #fail(failure: Error, reject: (error: Error) => void): void {
    this.#failure = failure;
    reject(failure);
    this.#next.promise.catch(() => undefined);
    this.#next.reject(failure);
    this.#options.onFailure(failure);
  }

  async #write(changes: Append[]): Promise<void> {
    const line = lineOf({ changes });
    await this.#file.writeFile(line);
    await this.#file.datasync();
    this.#size += line.length;
  }

  /** Takes the place of writing a group: the snapshot has it. */
  async #compact(): Promise<void> {
    const size = await replace(this.#options.directory, [HEADER, ...this.#options.snapshot()]);
    await this.#file.close();
    this.#file = await open(join(this.#options.directory, FILE), 'a');
    this.#size = size;
    this.#compactAt = Math.max(this.#options.compactAtBytes, size * GROWTH);
  }
}

/** Writes a whole log beside the old one and puts it in its place. A crash leaves the one or the other. Returns its size. */
async function replace(directory: string, records: readonly LogRecord[]): Promise<number> {
  const content = Buffer.concat(records.map(lineOf));
  const file = await open(join(directory, NEW_FILE), 'w');
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(join(directory, NEW_FILE), join(directory, FILE));
  await syncFolder(directory);
  return content.length;
}

/** Until then a crash may bring back the file that had the name before. */
async function syncFolder(directory: string): Promise<void> {
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function lineOf(record: LogRecord): Buffer {
  const text = JSON.stringify(record);
  return Buffer.from(`${checksumOf(text)} ${text}\n`);
}

function checksumOf(text: string | Buffer): string {
  return crc32(text).toString(16).padStart(CHECKSUM_DIGITS, '0');
}

/** Returns how many bytes are sound: all of them unless the last record was not written to its end. */
function restoreAll(path: string, content: Buffer, restore: (record: LogRecord) => void): number {
  let at = 0;
  do {
    const end = content.indexOf(NEWLINE, at);
    const isFirst = at === 0;
    // The first line came with the file. Of any other that has no end nobody has been told.
    if (end < 0 && !isFirst) return at;
    const record = end < 0 ? null : recordOf(path, content.subarray(at, end));
    if (record === null) throw new ConfigError(`${path} is damaged at byte ${at} or is no topology log: move it away, or restore it from a copy`);
    if (isFirst !== 'format' in record) throw new ConfigError(`${path} is no topology log of this version`);
    restore(record);
    at = end + 1;
  } while (at < content.length);
  return at;
}

/** Null: broken. */
function recordOf(path: string, line: Buffer): LogRecord | null {
  const body = line.subarray(CHECKSUM_DIGITS + 1);
  if (line.subarray(0, CHECKSUM_DIGITS + 1).toString('latin1') !== `${checksumOf(body)} `) return null;
  try {
    return recordSchema.parse(JSON.parse(body.toString()));
  } catch (cause) {
    throw new ConfigError(`${path} was written by another version of this server: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
