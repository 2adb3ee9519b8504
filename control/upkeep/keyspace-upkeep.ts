import type { OwnerStore } from '../../backends/backend.ts';
import type { Clock } from '../../core/clock.ts';
import type { Keyspace } from '../../core/keyspace.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { Logger } from '../../runtime/logger.ts';
import { asSwitchyardError, backOffMs, within } from '../time-limit.ts';
import type { ControlMetrics } from '../metrics.ts';
import type { Stores } from '../stores.ts';
import { WorkShare } from '../streams/work-share.ts';
import { LogGuard, type LogLimits } from './log-guard.ts';

/** Records that one statement removes: few enough that nobody notices it. */
const recordsAtOnce = 1_000;
const firstRetryMs = 1_000;
const longestRetryMs = 15_000;
const hourMs = 3_600_000;
const defaultEveryMs = 60_000;

export interface KeyspaceUpkeepOptions {
  readonly stores: Pick<Stores, 'open'>;
  readonly metrics: ControlMetrics;
  readonly clock: Clock;
  readonly log: Logger;
  /** How old a record of a request id becomes. */
  readonly keptHours: number;
  /** How old a change becomes that was written down for watchers. */
  readonly watchedHours: number;
  readonly logLimits: LogLimits;
  /** How often records are removed and logs measured. Default: once a minute. */
  readonly everyMs?: number;
  /** What one call of the store may take. Default: 30 s. */
  readonly callLimitMs?: number;
}

/**
 * Keeps one keyspace's store prepared, so that it takes writes with a request id before anything is moved, and free of records whose time is over and of logs that would fill its disk. The store is prepared once: what a newer release makes of it meanwhile is not undone.
 */
export class KeyspaceUpkeep {
  readonly #options: KeyspaceUpkeepOptions;
  readonly #keyspace: Keyspace;
  readonly #share = new WorkShare();
  readonly #logs: LogGuard;
  #prepared = false;
  #problem: SwitchyardError | null = null;

  constructor(options: KeyspaceUpkeepOptions, keyspace: Keyspace) {
    this.#options = options;
    this.#keyspace = keyspace;
    this.#logs = new LogGuard({ keyspace: keyspace.name, limits: options.logLimits, metrics: options.metrics, log: options.log });
  }

  /** Why the store could not be prepared, null when it is or has not been tried. */
  get problem(): string | null {
    return this.#prepared || this.#problem === null ? null : `${this.#problem.reason}: ${this.#problem.message}`;
  }

  /** See `Upkeep.logAlarm`. */
  logAlarm(stream: string): string | null {
    return this.#logs.alarm(stream);
  }

  /** Works until the signal aborts. A fault is said once, not with every repetition. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, metrics, everyMs = defaultEveryMs } = this.#options;
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
    this.#logs.end();
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { stores, metrics, log } = this.#options;
    const { name } = this.#keyspace;
    await using opened = await stores.open(this.#keyspace);
    // A store that cannot be prepared may have logs of before; and what keeps them from being watched does not keep it from being prepared.
    const unwatched = await this.#watchLogs(opened.owner, signal).then(() => null, asSwitchyardError);
    if (!this.#prepared) {
      // A look first: a store that is not there is made by a move only, not by `install` here.
      await this.#call((limited) => opened.owner.define([], limited), signal);
      await this.#call((limited) => opened.owner.install(limited), signal);
      this.#prepared = true;
      metrics.keyspaceUnprepared.set({ keyspace: name }, 0);
      log.info({ keyspace: name }, 'the store is prepared: it keeps request ids');
    }
    await this.#expire(opened.owner, signal);
    if (unwatched !== null) throw unwatched;
    this.#problem = null;
  }

  async #watchLogs(owner: OwnerStore, signal: AbortSignal): Promise<void> {
    const { everyMs = defaultEveryMs } = this.#options;
    this.#logs.see(await this.#call((limited) => owner.keptLogs(limited), signal));
    await this.#logs.dropTooLarge((name, atLeastBytes) => this.#call((limited) => owner.dropKeptLog(name, atLeastBytes, limited), signal));
    // What a large log leaves takes long to remove: the others are looked at in between.
    await this.#piecewise((limited) => owner.trimLogs(recordsAtOnce, limited), signal, everyMs);
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

  /** Removes a piece at a time, resting in between, until one is not full or the time is over. */
  async #piecewise(remove: (signal: AbortSignal) => Promise<number>, signal: AbortSignal, limitMs = Number.POSITIVE_INFINITY): Promise<void> {
    const { clock } = this.#options;
    const endMs = clock.monotonic() + limitMs;
    while (clock.monotonic() < endMs) {
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
      ? 'old request ids are not removed, or logs not watched, just now; trying again'
      : `the store cannot be prepared yet, so it refuses writes with a request id; trying again. If it lacks rights: switchyard keyspace grants ${name}, to be run by its administrator`;
    log.warn({ err: failure, keyspace: name, reason: failure.reason }, what);
  }
}
