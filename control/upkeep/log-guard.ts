import type { KeptLog } from '../../backends/backend.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { ControlConfig } from '../config.ts';
import type { ControlMetrics } from '../metrics.ts';

/** From how many bytes on a log is an alarm, and from how many it is dropped; null: never. */
export interface LogLimits {
  readonly alarmBytes: number | null;
  readonly dropBytes: number | null;
}

const mebibyte = 2 ** 20;
const gibibyte = 2 ** 30;

export function logLimits({ alarmMiB, dropMiB }: ControlConfig['logs']): LogLimits {
  const bytes = (mebibytes: number | null): number | null => (mebibytes === null ? null : mebibytes * mebibyte);
  return { alarmBytes: bytes(alarmMiB), dropBytes: bytes(dropMiB) };
}

/** The logs that keep so much that somebody has to know. */
export const largeLogs = (logs: readonly KeptLog[], { alarmBytes }: LogLimits): readonly KeptLog[] => (alarmBytes === null ? [] : logs.filter(({ bytes }) => bytes >= alarmBytes));

/** What is said of a large log, and what becomes of it. */
export function largeLogText({ name, stream, bytes, followed }: KeptLog, { dropBytes }: LogLimits): string {
  const of = stream === null ? '' : ` of stream "${stream}"`;
  const read = followed === null ? '' : followed ? ', although somebody reads it' : ', and nobody reads it now';
  const fate = dropBytes === null ? 'it grows until the disk is full' : `when it keeps ${sizeText(dropBytes)} it is dropped, before the disk is full, and its stream ends for good`;
  return `log "${name}"${of} keeps ${sizeText(bytes)} of the store's history${read}: ${fate}`;
}

const sizeText = (bytes: number): string => (bytes >= gibibyte ? `${(bytes / gibibyte).toFixed(1)} GiB` : `${Math.round(bytes / mebibyte)} MiB`);

export interface LogGuardOptions {
  readonly keyspace: string;
  readonly limits: LogLimits;
  readonly metrics: ControlMetrics;
  readonly log: Logger;
}

/** What is known of one store's logs: shows what each keeps, says once when one has become large, and knows which have to go before they fill the store's disk. */
export class LogGuard {
  readonly #options: LogGuardOptions;
  readonly #said = new Set<string>();
  #logs: readonly KeptLog[] = [];

  constructor(options: LogGuardOptions) {
    this.#options = options;
  }

  /** What is said of the stream's log while it is large, null otherwise. */
  alarm(stream: string): string | null {
    const { limits } = this.#options;
    const large = largeLogs(this.#logs, limits).find((log) => log.stream === stream);
    return large === undefined ? null : largeLogText(large, limits);
  }

  /** Takes in what all logs of the store keep now. */
  see(logs: readonly KeptLog[]): void {
    const { keyspace, limits, log, metrics } = this.#options;
    for (const { name } of this.#logs) if (!logs.some((each) => each.name === name)) this.#forget(name);
    this.#logs = logs;
    for (const { name, bytes } of logs) {
      metrics.logKept.set({ keyspace, log: name }, bytes);
      // One that goes up and down about the limit is no news every time.
      if (limits.alarmBytes !== null && bytes < limits.alarmBytes / 2) this.#said.delete(name);
    }
    for (const large of largeLogs(logs, limits)) {
      if (this.#said.has(large.name)) continue;
      this.#said.add(large.name);
      log.warn({ keyspace, log: large.name, stream: large.stream, bytes: large.bytes, followed: large.followed }, largeLogText(large, limits));
    }
  }

  /** Drops by `drop` what has to go. `drop` answers whether the log still kept at least so many bytes, and has gone. */
  async dropTooLarge(drop: (name: string, atLeastBytes: number) => Promise<boolean>): Promise<void> {
    const { keyspace, limits, log, metrics } = this.#options;
    const { dropBytes } = limits;
    if (dropBytes === null) return;
    for (const { name, stream, bytes } of this.#logs.filter((each) => each.bytes >= dropBytes)) {
      if (!(await drop(name, dropBytes))) continue;
      this.#logs = this.#logs.filter((each) => each.name !== name);
      this.#forget(name);
      metrics.logsDropped.inc({ keyspace });
      log.error(
        { keyspace, log: name, stream, bytes },
        `the log was dropped because it kept ${sizeText(bytes)} of the store's history, more than logs.dropMiB allows: it would have filled the disk. The store serves as before. The stream that it was for cannot go on: a workflow that has not been switched is FAILED when its stream runs next (cancel it and begin again); one that has been switched has no way back any more (complete it)`,
      );
    }
  }

  /** Shows nothing any more. */
  end(): void {
    this.see([]);
  }

  #forget(name: string): void {
    this.#said.delete(name);
    this.#options.metrics.logKept.remove({ keyspace: this.#options.keyspace, log: name });
  }
}
