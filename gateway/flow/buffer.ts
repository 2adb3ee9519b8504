import type { Clock } from '../../core/clock.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import { assertNever } from '../../core/assert-never.ts';

export type EvictionReason = 'deadline' | 'window' | 'cancelled' | 'shutdown';
export type RefusalReason = 'full' | 'deadline' | 'shutdown';

export interface BufferOptions {
  readonly clock: Clock;
  readonly maxEntries: number;
  readonly maxBytes: number;
  /** Longest stay of an entry. */
  readonly windowMs: number;
  /** Drained entries of one group that may be under way at once. */
  readonly drainConcurrency: number;
}

/** A write that has to wait. */
export interface BufferedWrite {
  /** What is held and released together: a workflow. */
  readonly group: string;
  /** Texts of the primary keys that it writes, each with its table; none for an insert whose key the store makes. */
  readonly keys: readonly string[];
  /** On the monotonic clock. */
  readonly deadline: number;
  readonly bytes: number;
  readonly signal: AbortSignal;
}

export interface BufferCounts {
  readonly buffered: number;
  readonly drained: number;
  readonly waiting: number;
  readonly waitingBytes: number;
  readonly evicted: Readonly<Record<EvictionReason, number>>;
  readonly refused: Readonly<Record<RefusalReason, number>>;
}

type EntryState =
  | { readonly kind: 'waiting'; readonly admit: () => void; readonly evict: (error: SwitchyardError) => void; readonly stopTimers: () => void; readonly since: number }
  | { readonly kind: 'running' }
  | { readonly kind: 'settled' };

interface Entry {
  readonly write: BufferedWrite;
  readonly keys: readonly string[];
  group: Group;
  state: EntryState;
}

interface Group {
  readonly name: string;
  held: boolean;
  running: number;
  waiting: number;
  /** Waiting entries that are first in the queues of all their keys, in order of admission. */
  readonly ready: Set<Entry>;
}

/** A place in the buffer. Whoever got one must call `done` when the write is over, whatever came of it. */
export interface Ticket {
  /** Gives the entry's turn back and waits once more at the same place before later writes of its keys. Rejects when it is evicted. */
  again(group: string): Promise<void>;
  /** Lets later writes of the same keys go on. Harmless when repeated. */
  done(): void;
}

/**
 * Writes that are held. An entry is *waiting* from its admission until it is drained or evicted, *running* from its drain until its owner says `done` (or `again`: then it waits once more), and *settled* at the end. It is drained when its group is
 * not held, fewer than `drainConcurrency` entries of the group run, and no earlier entry of any of its keys is unsettled: so the order per key holds across hold, drain and bounce, and a new write of a key that still has
 * entries belongs behind them (`isQueued`). It is evicted at its deadline, after the window, when its caller leaves or at shutdown, and is never drained after its deadline. Every admission ends in exactly one drain or eviction:
 * buffered = drained + evicted + waiting.
 */
export class WriteBuffer {
  readonly #options: BufferOptions;
  readonly #groups = new Map<string, Group>();
  readonly #queues = new Map<string, Entry[]>();
  readonly #counts = {
    buffered: 0,
    drained: 0,
    waiting: 0,
    waitingBytes: 0,
    evicted: { deadline: 0, window: 0, cancelled: 0, shutdown: 0 },
    refused: { full: 0, deadline: 0, shutdown: 0 },
  };
  #closed = false;

  constructor(options: BufferOptions) {
    this.#options = options;
  }

  get counts(): BufferCounts {
    return this.#counts;
  }

  /** Entries of the group that wait. */
  waiting(group: string): number {
    return this.#groups.get(group)?.waiting ?? 0;
  }

  /** Whether any entry has a key, so that `isQueued` is worth asking. */
  get hasKeys(): boolean {
    return this.#queues.size > 0;
  }

  /** Group of the entry that a write of these keys has to wait behind; null when there is none. */
  isQueued(keys: readonly string[]): string | null {
    if (this.#queues.size === 0) return null;
    for (const key of keys) {
      const queue = this.#queues.get(key);
      if (queue !== undefined) return (queue[queue.length - 1] as Entry).group.name;
    }
    return null;
  }

  /** Nothing of the group is drained until `release`. */
  hold(group: string): void {
    this.#group(group).held = true;
  }

  release(group: string): void {
    const found = this.#groups.get(group);
    if (found === undefined) return;
    found.held = false;
    this.#pump(found);
  }

  /**
   * Resolves when the write may go on; its ticket must then be settled. Refused at once when it cannot outlast the hold (`expectedMs`: DEADLINE_TOO_SHORT) or the buffer is full (BUFFER_FULL); evicted with DEADLINE_TOO_SHORT, HELD_TOO_LONG,
   * CANCELLED or GATEWAY_NOT_READY. In each of these cases the write was not sent.
   */
  async admit(write: BufferedWrite, expectedMs: number): Promise<Ticket> {
    this.#refuse(write, expectedMs);
    const entry: Entry = { write, keys: [...new Set(write.keys)], group: this.#group(write.group), state: { kind: 'settled' } };
    for (const key of entry.keys) {
      const queue = this.#queues.get(key);
      if (queue === undefined) this.#queues.set(key, [entry]);
      else queue.push(entry);
    }
    await this.#wait(entry);
    return {
      again: async (group) => {
        if (entry.state.kind !== 'running') throw new Error('only a drained entry can wait again');
        this.#leaveRun(entry);
        entry.group = this.#group(group);
        await this.#wait(entry);
      },
      done: () => {
        if (entry.state.kind !== 'running') return;
        this.#leaveRun(entry);
        this.#settle(entry);
      },
    };
  }

  /** Evicts everything that waits and refuses what comes. */
  close(): void {
    this.#closed = true;
    for (const group of this.#groups.values()) {
      for (const entry of this.#allWaiting(group)) this.#evict(entry, 'shutdown');
    }
  }

  #refuse(write: BufferedWrite, expectedMs: number): void {
    const { clock, maxEntries, maxBytes } = this.#options;
    const { refused, waiting, waitingBytes } = this.#counts;
    if (this.#closed) {
      refused.shutdown += 1;
      throw evictionError('shutdown', this.#options.windowMs);
    }
    const remainingMs = write.deadline - clock.monotonic();
    if (remainingMs <= expectedMs) {
      refused.deadline += 1;
      const message = `the write would be held for about ${Math.ceil(expectedMs)} ms by a cutover and has ${Math.max(0, Math.floor(remainingMs))} ms left; not applied`;
      throw new SwitchyardError('DEADLINE_TOO_SHORT', message, { retryAfterMs: Math.ceil(expectedMs) });
    }
    if (waiting >= maxEntries || waitingBytes + write.bytes > maxBytes) {
      refused.full += 1;
      throw new SwitchyardError('BUFFER_FULL', `${waiting} writes (${waitingBytes} bytes) are held already; not applied`, { retryAfterMs: Math.max(20, Math.ceil(expectedMs)) });
    }
  }

  #wait(entry: Entry): Promise<void> {
    const { clock, windowMs } = this.#options;
    const { signal, deadline, bytes } = entry.write;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const now = clock.monotonic();
    const untilDeadlineMs = deadline - now;
    const cancelTimer = clock.after(Math.max(0, Math.min(untilDeadlineMs, windowMs)), () => this.#evict(entry, untilDeadlineMs <= windowMs ? 'deadline' : 'window'));
    const onAbort = (): void => this.#evict(entry, hasReason(signal.reason, 'DEADLINE_EXCEEDED') ? 'deadline' : 'cancelled');
    const stopTimers = (): void => {
      cancelTimer();
      signal.removeEventListener('abort', onAbort);
    };
    entry.state = { kind: 'waiting', admit: resolve, evict: reject, stopTimers, since: now };
    this.#counts.buffered += 1;
    this.#counts.waiting += 1;
    this.#counts.waitingBytes += bytes;
    entry.group.waiting += 1;
    if (this.#isFirst(entry)) entry.group.ready.add(entry);
    if (this.#closed) this.#evict(entry, 'shutdown');
    else if (signal.aborted) onAbort();
    else {
      signal.addEventListener('abort', onAbort, { once: true });
      this.#pump(entry.group);
    }
    return promise;
  }

  #pump(group: Group): void {
    const now = this.#options.clock.monotonic();
    for (const entry of group.ready) {
      if (group.held || group.running >= this.#options.drainConcurrency) break;
      if (entry.state.kind !== 'waiting') throw new Error('an entry that does not wait is in the ready queue');
      if (entry.write.deadline <= now) {
        this.#evict(entry, 'deadline');
        continue;
      }
      const { admit } = entry.state;
      this.#leaveWait(entry);
      this.#counts.drained += 1;
      entry.state = { kind: 'running' };
      group.running += 1;
      admit();
    }
    if (!group.held && group.running === 0 && group.waiting === 0) this.#groups.delete(group.name);
  }

  #evict(entry: Entry, reason: EvictionReason): void {
    if (entry.state.kind !== 'waiting') return;
    const { evict } = entry.state;
    this.#leaveWait(entry);
    this.#counts.evicted[reason] += 1;
    this.#settle(entry);
    evict(evictionError(reason, this.#options.windowMs));
  }

  #leaveWait(entry: Entry): void {
    if (entry.state.kind === 'waiting') entry.state.stopTimers();
    entry.group.ready.delete(entry);
    entry.group.waiting -= 1;
    this.#counts.waiting -= 1;
    this.#counts.waitingBytes -= entry.write.bytes;
  }

  #leaveRun(entry: Entry): void {
    const { group } = entry;
    group.running -= 1;
    this.#pump(group);
  }

  /** Takes the entry out of its keys' queues, so that those behind it can become ready. */
  #settle(entry: Entry): void {
    entry.state = { kind: 'settled' };
    const touched = new Set<Group>([entry.group]);
    for (const key of entry.keys) {
      const queue = this.#queues.get(key) ?? [];
      const at = queue.indexOf(entry);
      if (at >= 0) queue.splice(at, 1);
      const head = queue[0];
      if (head === undefined) this.#queues.delete(key);
      else if (head.state.kind === 'waiting' && this.#isFirst(head)) {
        head.group.ready.add(head);
        touched.add(head.group);
      }
    }
    for (const group of touched) this.#pump(group);
  }

  #isFirst(entry: Entry): boolean {
    return entry.keys.every((key) => this.#queues.get(key)?.[0] === entry);
  }

  #allWaiting(group: Group): readonly Entry[] {
    const found = new Set<Entry>(group.ready);
    for (const queue of this.#queues.values()) for (const entry of queue) if (entry.group === group && entry.state.kind === 'waiting') found.add(entry);
    return [...found];
  }

  #group(name: string): Group {
    const existing = this.#groups.get(name);
    if (existing !== undefined) return existing;
    const group: Group = { name, held: false, running: 0, waiting: 0, ready: new Set() };
    this.#groups.set(name, group);
    return group;
  }
}

function evictionError(reason: EvictionReason, windowMs: number): SwitchyardError {
  switch (reason) {
    case 'deadline':
      return new SwitchyardError('DEADLINE_TOO_SHORT', "the write's deadline passed while it was held for a cutover; not applied");
    case 'window':
      return new SwitchyardError('HELD_TOO_LONG', `the write was held for a cutover for ${windowMs} ms; not applied`, { retryAfterMs: 1_000 });
    case 'cancelled':
      return new SwitchyardError('CANCELLED', 'the caller left while the write was held for a cutover; not applied');
    case 'shutdown':
      return new SwitchyardError('GATEWAY_NOT_READY', 'the gateway is shutting down; the held write was not applied');
    default:
      return assertNever(reason);
  }
}
