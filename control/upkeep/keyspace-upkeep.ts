import type { OwnerStore } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import type { Keyspace } from '../../core/keyspace.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { Logger } from '../../runtime/logger.ts';
import { asSwitchyardError, backOffMs, within } from '../time-limit.ts';
import type { ControlMetrics } from '../metrics.ts';
import type { Stores } from '../stores.ts';
import { WorkShare } from '../streams/work-share.ts';

/** Records that one statement removes: few enough that nobody notices it. */
const recordsAtOnce = 1_000;
const firstRetryMs = 1_000;
const longestRetryMs = 15_000;
const hourMs = 3_600_000;

export interface KeyspaceUpkeepOptions {
  readonly stores: Pick<Stores, 'open'>;
  readonly metrics: ControlMetrics;
  readonly clock: Clock;
  readonly log: Logger;
  /** How old a record of a request id becomes. */
  readonly keptHours: number;
  /** How old a change becomes that was written down for watchers. */
  readonly watchedHours: number;
  /** How often records are removed. Default: once a minute. */
  readonly everyMs?: number;
  /** What one call of the store may take. Default: 30 s. */
  readonly callLimitMs?: number;
}

/**
 * Keeps one keyspace's store prepared, so that it takes writes with a request id before anything is moved, and free of records whose time is over. The store is prepared once: what a newer release makes of it meanwhile is not undone.
 */
export class KeyspaceUpkeep {
  readonly #options: KeyspaceUpkeepOptions;
  readonly #keyspace: Keyspace;
  readonly #share = new WorkShare();
  #prepared = false;
  #problem: SwitchyardError | null = null;

  constructor(options: KeyspaceUpkeepOptions, keyspace: Keyspace) {
    this.#options = options;
    this.#keyspace = keyspace;
  }

  /** Why the store could not be prepared, null when it is or has not been tried. */
  get problem(): string | null {
    return this.#prepared || this.#problem === null ? null : `${this.#problem.reason}: ${this.#problem.message}`;
  }

  /** Works until the signal aborts. A fault is said once, not with every repetition. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, metrics, everyMs = 60_000 } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.#round(signal);
        failures = 0;
      } catch (error) {
        if (signal.aborted) break;
        this.#say(asSwitchyardError(error));
        failures += 1;
      }
      const pauseMs = failures === 0 ? everyMs : Math.min(everyMs, backOffMs(failures - 1, firstRetryMs, longestRetryMs));
      await clock.sleep(pauseMs, signal).catch(() => undefined); // only an abort rejects, which ends the loop
    }
    metrics.keyspaceUnprepared.remove({ keyspace: this.#keyspace.name });
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { stores, metrics, log } = this.#options;
    const { name } = this.#keyspace;
    await using opened = await stores.open(this.#keyspace);
    if (!this.#prepared) {
      // A look first: a store that is not there is made by a move only, not by `install` here.
      await this.#call((limited) => opened.owner.define([], limited), signal);
      await this.#call((limited) => opened.owner.install(limited), signal);
      this.#prepared = true;
      metrics.keyspaceUnprepared.set({ keyspace: name }, 0);
      log.info({ keyspace: name }, 'the store is prepared: it keeps request ids');
    }
    await this.#expire(opened.owner, signal);
    this.#problem = null;
  }

  async #expire(owner: OwnerStore, signal: AbortSignal): Promise<void> {
    const { metrics, keptHours, watchedHours } = this.#options;
    await this.#piecewise(async (limited) => {
      const removed = await owner.expireRequests(keptHours * hourMs, recordsAtOnce, limited);
      metrics.requestIdsRemoved.inc({ keyspace: this.#keyspace.name }, removed);
      return removed;
    }, signal);
    await this.#piecewise((limited) => owner.expireEvents(watchedHours * hourMs, recordsAtOnce, limited), signal);
  }

  /** Removes a piece at a time, resting in between, until one is not full. */
  async #piecewise(remove: (signal: AbortSignal) => Promise<number>, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    for (;;) {
      const startedAt = clock.monotonic();
      const removed = await this.#call(remove, signal);
      if (removed < recordsAtOnce) return;
      await clock.sleep(this.#share.restMs(removed, clock.monotonic() - startedAt), signal);
    }
  }

  #call<T>(act: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    const { clock, callLimitMs = 30_000 } = this.#options;
    return within(clock, callLimitMs, () => new SwitchyardError('STORE_UNAVAILABLE', `the store did not answer within ${callLimitMs} ms`), signal, act);
  }

  #say(failure: SwitchyardError): void {
    const { metrics, log } = this.#options;
    const { name } = this.#keyspace;
    const said = this.#problem?.reason === failure.reason;
    this.#problem = failure;
    if (!this.#prepared) metrics.keyspaceUnprepared.set({ keyspace: name }, 1);
    if (said) return;
    const what = this.#prepared
      ? 'old request ids cannot be removed just now; trying again'
      : `the store cannot be prepared yet, so it refuses writes with a request id; trying again. If it lacks rights: switchyard keyspace grants ${name}, to be run by its administrator`;
    log.warn({ err: failure, keyspace: name, reason: failure.reason }, what);
  }
}
