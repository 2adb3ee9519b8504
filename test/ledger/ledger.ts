import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describeMachine } from '../bench/machine.ts';
import { type Entry, type Finding, parseEntry, type RunKind } from './entry.ts';
import { type CodeState, codeState, originOf } from './fingerprint.ts';

const repository = join(import.meta.dirname, '../..');

/** What a ledger's file holds. */
export interface LedgerContent {
  readonly entries: readonly Entry[];
  /** Lines that are no entries. */
  readonly unreadable: number;
}

export interface Ledger {
  /** The code under test as it was when the ledger was opened: a run belongs to what it started with. */
  readonly code: CodeState;
  /** Entries of exactly this code: what counts today. */
  current(): Promise<readonly Entry[]>;
  /**
   * Adds a line at once, so that whatever ends the run takes nothing of what it has found. Runs at the same time may share a ledger. Rejects when the code has changed since the ledger was opened: nobody can say then what of
   * it was run.
   */
  append(finding: Finding): Promise<Entry>;
}

export const ledgerFile = (kind: RunKind, root: string = repository): string => join(root, 'test/results', `${kind}.jsonl`);

/** A ledger that nobody has written yet is empty. */
export async function readLedger(kind: RunKind, root: string = repository): Promise<LedgerContent> {
  const lines = (await textOf(ledgerFile(kind, root))).split('\n').filter((line) => line.trim() !== '');
  const entries = lines.map(parseEntry).filter((entry) => entry !== null);
  return { entries, unreadable: lines.length - entries.length };
}

/** The record of one kind of long run. `paths`: folders and files of the repository that decide what the run does; when one of them changes, what is recorded does not count any more. */
export async function openLedger(kind: RunKind, paths: readonly string[], root: string = repository): Promise<Ledger> {
  const file = ledgerFile(kind, root);
  const [code, origin] = await Promise.all([codeState(root, paths), originOf(root, paths)]);
  return {
    code,
    async current() {
      const { entries } = await readLedger(kind, root);
      return entries.filter((entry) => isOf(entry, code));
    },
    async append({ figures = {}, ...finding }) {
      const entry: Entry = { kind, at: new Date().toISOString(), ...origin, code, machine: describeMachine(), ...finding, figures };
      const line = JSON.stringify(entry);
      if ((await codeState(root, paths)).fingerprint !== code.fingerprint) throw new Error(`code has changed while it was run: ${code.paths.join(', ')}`);
      if (parseEntry(line) === null) throw new Error(`this is no entry of a ledger: ${line}`);
      await mkdir(dirname(file), { recursive: true });
      await appendFile(file, `${await startOfLine(file)}${line}\n`);
      return entry;
    },
  };
}

const isOf = (entry: Entry, code: CodeState): boolean => entry.code.fingerprint === code.fingerprint && entry.code.paths.join('\0') === code.paths.join('\0');

/** A line after the rest of one that was cut off would be lost with it. */
async function startOfLine(file: string): Promise<string> {
  const text = await textOf(file);
  return text === '' || text.endsWith('\n') ? '' : '\n';
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
