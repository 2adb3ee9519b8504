/** Modes of table locks: ACCESS SHARE, ROW EXCLUSIVE, SHARE ROW EXCLUSIVE and ACCESS EXCLUSIVE. */
export type TableLockMode = 'reader' | 'writer' | 'drain' | 'drop';
/** Those, and the modes of row locks. */
export type LockMode = 'share' | 'exclusive' | TableLockMode;

const together: Readonly<Record<LockMode, readonly LockMode[]>> = {
  share: ['share'],
  exclusive: [],
  reader: ['reader', 'writer', 'drain'],
  writer: ['reader', 'writer'],
  drain: ['reader'],
  drop: [],
};
const goTogether = (a: LockMode, b: LockMode): boolean => together[a].includes(b);

interface Waiter {
  readonly holder: object;
  readonly mode: LockMode;
  readonly grant: () => void;
  readonly refuse: (error: Error) => void;
}

interface Lock {
  readonly holders: Map<object, Set<LockMode>>;
  waiters: Waiter[];
}

/** Two transactions wait for each other; the one that noticed is ended. */
export class Deadlock extends Error {
  constructor() {
    super('deadlock detected');
    this.name = 'Deadlock';
  }
}

/** Locks of one server's run, by name. Waiters are served in order. */
export class LockTable {
  readonly #locks = new Map<string, Lock>();
  readonly #held = new Map<object, Set<string>>();
  readonly #waiting = new Map<object, string>();

  /** Resolves when the holder has the lock. `onWait` is given what ends the wait early. */
  async acquire(name: string, mode: LockMode, holder: object, onWait: (refuse: (error: Error) => void) => () => void): Promise<void> {
    const lock = this.#lock(name);
    if (lock.holders.get(holder)?.has(mode) === true) return;
    if (this.#isFree(lock, mode, holder) && (lock.waiters.length === 0 || lock.holders.has(holder))) {
      this.#give(name, lock, mode, holder);
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = {
      holder,
      mode,
      grant: () => {
        this.#waiting.delete(holder);
        stopWaiting();
        resolve();
      },
      refuse: (error) => {
        if (!lock.waiters.includes(waiter)) return;
        lock.waiters = lock.waiters.filter((each) => each !== waiter);
        this.#waiting.delete(holder);
        stopWaiting();
        reject(error);
        this.#serve(name, lock);
      },
    };
    lock.waiters.push(waiter);
    this.#waiting.set(holder, name);
    const stopWaiting = onWait(waiter.refuse);
    return promise;
  }

  releaseAll(holder: object): void {
    const names = this.#held.get(holder);
    this.#held.delete(holder);
    for (const name of names ?? []) {
      const lock = this.#lock(name);
      lock.holders.delete(holder);
      this.#serve(name, lock);
    }
  }

  /** Everybody who holds or awaits something. */
  get isIdle(): boolean {
    return this.#held.size === 0 && this.#waiting.size === 0;
  }

  #serve(name: string, lock: Lock): void {
    for (;;) {
      const first = lock.waiters[0];
      if (first === undefined || !this.#isFree(lock, first.mode, first.holder)) break;
      lock.waiters.shift();
      this.#give(name, lock, first.mode, first.holder);
      first.grant();
    }
    if (lock.waiters.length === 0 && lock.holders.size === 0) this.#locks.delete(name);
  }

  #isFree(lock: Lock, mode: LockMode, holder: object): boolean {
    for (const [other, modes] of lock.holders) {
      if (other !== holder && [...modes].some((held) => !goTogether(held, mode))) return false;
    }
    return true;
  }

  #give(name: string, lock: Lock, mode: LockMode, holder: object): void {
    const modes = lock.holders.get(holder);
    if (modes === undefined) lock.holders.set(holder, new Set([mode]));
    else modes.add(mode);
    const names = this.#held.get(holder);
    if (names === undefined) this.#held.set(holder, new Set([name]));
    else names.add(name);
  }

  /** Whether the holder waits for somebody who waits for it. */
  isInCycle(start: object): boolean {
    const seen = new Set<object>();
    const blockers = (holder: object): readonly object[] => {
      const name = this.#waiting.get(holder);
      const lock = name === undefined ? undefined : this.#locks.get(name);
      const own = lock?.waiters.find((waiter) => waiter.holder === holder);
      if (lock === undefined || own === undefined) return [];
      const holders = [...lock.holders].filter(([other, modes]) => other !== holder && [...modes].some((held) => !goTogether(held, own.mode))).map(([other]) => other);
      const before = lock.waiters.slice(0, lock.waiters.indexOf(own)).filter((waiter) => !goTogether(waiter.mode, own.mode));
      return [...holders, ...before.map((waiter) => waiter.holder)];
    };
    const leadsBack = (holder: object): boolean => {
      for (const blocker of blockers(holder)) {
        if (blocker === start) return true;
        if (seen.has(blocker)) continue;
        seen.add(blocker);
        if (leadsBack(blocker)) return true;
      }
      return false;
    };
    return leadsBack(start);
  }

  #lock(name: string): Lock {
    const existing = this.#locks.get(name);
    if (existing !== undefined) return existing;
    const lock: Lock = { holders: new Map(), waiters: [] };
    this.#locks.set(name, lock);
    return lock;
  }
}
