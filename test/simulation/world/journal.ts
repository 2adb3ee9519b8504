import type { Logger } from '../../../runtime/logger.ts';
import type { Scheduler } from '../kernel/scheduler.ts';

/** One thing that happened, for people. */
export interface Note {
  readonly atMs: number;
  readonly who: string;
  readonly said: string;
  readonly detail: unknown;
}

/** What has happened in a world, in order: cutover steps, transitions, faults, what processes log. Kept as it comes; made readable only when somebody asks. */
export class Journal {
  readonly notes: Note[] = [];
  readonly #scheduler: Scheduler;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  note(who: string, said: string, detail: unknown = null): void {
    this.notes.push({ atMs: this.#scheduler.now, who, said, detail });
  }

  /** A process's log, of which information is kept only when `isTalkative`. */
  logger(who: string, isTalkative: boolean): Logger {
    const at =
      (level: string) =>
      (first: unknown, second?: unknown): void => {
        const said = typeof first === 'string' ? first : String(second ?? '');
        this.note(who, `${level} ${said}`, typeof first === 'string' ? null : first);
      };
    const silent = (): void => {};
    const info = isTalkative ? at('info') : silent;
    return { debug: silent, trace: silent, info, warn: isTalkative ? at('warn') : silent, error: at('error'), fatal: at('fatal') } as unknown as Logger;
  }
}

/** A note in one line. */
export function noteText({ atMs, who, said, detail }: Note): string {
  return `${(atMs / 1_000).toFixed(4).padStart(9)}  ${who.padEnd(10)} ${said}${detail === null ? '' : ` ${detailText(detail)}`}`;
}

function detailText(detail: unknown): string {
  const text = JSON.stringify(detail, (_, value: unknown) => {
    if (value instanceof Error) return `${value.name}: ${value.message}`;
    return typeof value === 'bigint' ? String(value) : value;
  });
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
