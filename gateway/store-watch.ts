import type { Clock } from '../core/clock.ts';
import type { StoreProblem } from '../core/registration.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { Stores } from './stores.ts';

export interface StoreWatchOptions {
  readonly stores: Pick<Stores, 'definitions' | 'checkLogin'>;
  readonly clock: Clock;
  /** The problems are others than before. */
  readonly onChange: () => void;
}

const lookEveryMs = 3_000;
/** A login that worked is tried again this often: each try costs the store a connection. */
const goodForMs = 30_000;
const checkLimitMs = 5_000;

interface Checked {
  readonly definition: string;
  readonly at: number;
  readonly problem: StoreProblem | null;
}

/**
 * Knows which stores this gateway cannot log in to, which nobody else can know: tries each keyspace's login when it is first seen or defined anew, now and then afterwards, and every few seconds while it fails. Connections that are open
 * already would hide a fault until they are gone.
 */
export class StoreWatch {
  readonly #options: StoreWatchOptions;
  readonly #stop = new AbortController();
  #checked: ReadonlyMap<string, Checked> = new Map();
  #running: Promise<void> | null = null;

  constructor(options: StoreWatchOptions) {
    this.#options = options;
  }

  get problems(): readonly StoreProblem[] {
    return [...this.#checked.values()].flatMap(({ problem }) => problem ?? []);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort(new SwitchyardError('CANCELLED', 'the gateway ends'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#look(signal);
      await clock.sleep(lookEveryMs, signal).catch(() => undefined); // only an abort rejects, which ends the loop
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { stores, clock, onChange } = this.#options;
    const before = JSON.stringify(this.problems);
    const checks = [...stores.definitions()].map(async ([keyspace, definition]): Promise<readonly [string, Checked]> => {
      const last = this.#checked.get(keyspace);
      const isGood = last?.definition === definition && last.problem === null && clock.monotonic() - last.at < goodForMs;
      return [keyspace, isGood ? last : { definition, problem: await this.#problemOf(keyspace, signal), at: clock.monotonic() }];
    });
    const checked = new Map(await Promise.all(checks));
    if (signal.aborted) return;
    this.#checked = checked;
    if (JSON.stringify(this.problems) !== before) onChange();
  }

  async #problemOf(keyspace: string, signal: AbortSignal): Promise<StoreProblem | null> {
    const { stores, clock } = this.#options;
    const limit = new AbortController();
    const late = new SwitchyardError('STORE_UNAVAILABLE', `keyspace "${keyspace}": its store let nobody in within ${checkLimitMs} ms`);
    const cancel = clock.after(checkLimitMs, () => limit.abort(late));
    try {
      await stores.checkLogin(keyspace, AbortSignal.any([signal, limit.signal]));
      return null;
    } catch (error) {
      const { reason, message } = error instanceof SwitchyardError ? error : new SwitchyardError('INTERNAL', String(error));
      return { keyspace, reason, message };
    } finally {
      cancel();
    }
  }
}
