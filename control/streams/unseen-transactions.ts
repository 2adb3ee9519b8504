import type { ReplicationStore } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';

const firstPauseMs = 1;
const longestPauseMs = 200;
const limitMs = 30_000;
const namedInError = 5;

/**
 * Transactions that the source's log has shown and that its readers may not see yet. Rows that are read for a place of the log must not be older than it: a copied row would overwrite the later value for good, and a comparison would find the
 * two equal.
 */
export class UnseenTransactions {
  readonly #source: Pick<ReplicationStore, 'visibility'>;
  readonly #clock: Clock;
  readonly #ids = new Set<number>();
  /** Whether all that was under way when this began has ended: the log may have shown it to a player of before. */
  #knowsAll = false;

  constructor(source: Pick<ReplicationStore, 'visibility'>, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** The log shows the transaction; null for one that is seen at once. */
  add(id: number | null): void {
    if (id !== null) this.#ids.add(id);
  }

  /** Those that the log has shown so far. */
  get shown(): readonly number[] {
    return [...this.#ids];
  }

  /** Resolves when whoever begins to read sees these. STORE_UNAVAILABLE, naming some, when that takes more than 30 s. */
  async untilSeen(shown: readonly number[], signal: AbortSignal): Promise<void> {
    const giveUpMs = this.#clock.monotonic() + limitMs;
    let waiting: readonly number[] | null = null;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      const { hasEnded, running } = await this.#look(signal);
      waiting = (waiting ?? [...shown, ...(this.#knowsAll ? [] : running)]).filter((id) => !hasEnded(id));
      if (waiting.length === 0) break;
      if (this.#clock.monotonic() > giveUpMs) throw tooLong(waiting);
      await this.#clock.sleep(pauseMs, signal);
    }
    this.#knowsAll = true;
  }

  /** Keeps the list short while nobody waits for it. */
  async forgetSeen(signal: AbortSignal): Promise<void> {
    await this.#look(signal);
  }

  async #look(signal: AbortSignal): ReturnType<ReplicationStore['visibility']> {
    const visibility = await this.#source.visibility(signal);
    for (const id of this.#ids) if (visibility.hasEnded(id)) this.#ids.delete(id);
    return visibility;
  }
}

const tooLong = (ids: readonly number[]): SwitchyardError =>
  new SwitchyardError(
    'STORE_UNAVAILABLE',
    `transactions of the source stay open, or wait for a synchronous standby after their commit, so rows cannot be read for this place of its log: ${ids.slice(0, namedInError).join(', ')}${ids.length > namedInError ? ', …' : ''} (pg_stat_activity, backend_xid)`,
  );
