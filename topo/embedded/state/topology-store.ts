import { mkdir } from 'node:fs/promises';
import type { Clock } from '../../../core/clock.ts';
import { ChangeLog, type LogRecord } from './change-log.ts';
import { DirectoryLock } from './directory-lock.ts';
import { Draft } from './draft.ts';
import { type Change, TopologyState } from './topology-state.ts';
import { Waiters } from './waiters.ts';

const OWNER_ONLY = 0o700;
const ENTRIES_A_RECORD = 100;

export interface TopologyStoreOptions {
  /** Made when it is missing, for its owner alone. */
  readonly directory: string;
  readonly clock: Clock;
  readonly compactAtBytes: number;
  readonly onTorn: (bytes: number) => void;
  readonly onFailure: (error: Error) => void;
}

/**
 * The state, its log and those who wait for changes. A change shows in the state at once, and is on the disk only when `settled` has resolved: no answer may leave before that,
 * be it a write's or that of a read which may have seen
 * one. So nobody ever acts on what a crash takes back, and an index that somebody saw is never given a second time.
 */
export class TopologyStore implements AsyncDisposable {
  readonly state: TopologyState;
  readonly waiters: Waiters;
  readonly #log: ChangeLog;
  readonly #lock: DirectoryLock;

  private constructor(state: TopologyState, waiters: Waiters, log: ChangeLog, lock: DirectoryLock) {
    this.state = state;
    this.waiters = waiters;
    this.#log = log;
    this.#lock = lock;
  }

  /** ConfigError when another has the directory or what lies there is damaged. */
  static async open(options: TopologyStoreOptions): Promise<TopologyStore> {
    await mkdir(options.directory, { recursive: true, mode: OWNER_ONLY });
    const lock = DirectoryLock.take(options.directory);
    try {
      const state = new TopologyState();
      const log = await ChangeLog.open({ ...options, restore: (record) => restore(state, record), snapshot: () => snapshot(state) });
      return new TopologyStore(state, new Waiters(options.clock), log, lock);
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }

  /** Runs `act` on a draft and keeps what it did, all of it at one index, when `keep` accepts the result. Throws when the log has failed. */
  write<T>(act: (draft: Draft) => T, keep: (result: T) => boolean = () => true): T {
    const draft = new Draft(this.state);
    const result = act(draft);
    const change = keep(result) ? draft.change() : null;
    if (change === null) return result;
    // First the log: a change that it does not take must not show.
    this.#log.append(change);
    this.state.apply(change);
    this.waiters.notify(change);
    return result;
  }

  settled(): Promise<void> {
    return this.#log.settled();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#log[Symbol.asyncDispose]();
    this.#lock[Symbol.dispose]();
  }
}

function restore(state: TopologyState, record: LogRecord): void {
  if ('changes' in record) for (const change of record.changes) state.apply(change);
  else if ('marks' in record) state.restoreMarks(record.marks);
}

/** The entries and sessions as changes that put them, then the marks, which those changes have set to something else. */
function snapshot(state: TopologyState): readonly LogRecord[] {
  const nothing = { puts: [], deletes: [], sessions: [], ended: [] };
  const entries = state.tree('');
  const changes: Change[] = [{ ...nothing, index: state.index, sessions: [...state.sessions()] }];
  for (let at = 0; at < entries.length; at += ENTRIES_A_RECORD) changes.push({ ...nothing, index: state.index, puts: entries.slice(at, at + ENTRIES_A_RECORD) });
  return [...changes.map((change) => ({ changes: [change] })), { marks: state.marks() }];
}
