import type { Clock } from '../../../core/clock.ts';
import type { Random } from './random.ts';
import type { Owner, Timeline, Task } from './scheduler.ts';

/** Timers never fire early and seldom to the millisecond. */
const timerLatenessMs = 0.3;

/**
 * One run of a program on a machine of its own. Killed, nothing that it waits for ever comes, as after `kill -9`; stopped, everything waits, as after SIGSTOP, and comes in its order when it goes on. Its clock for people may be wrong and jump; its
 * monotonic one runs at a rate of its own.
 */
export class SimProcess implements Owner {
  readonly name: string;
  readonly clock: Clock;
  readonly #scheduler: Timeline;
  readonly #deferred: Task[] = [];
  #state: 'running' | 'stopped' | 'dead' = 'running';
  #skewMs: number;

  constructor(name: string, scheduler: Timeline, random: Random) {
    this.name = name;
    this.#scheduler = scheduler;
    this.#skewMs = random.between(-500, 500);
    this.clock = this.#makeClock(random.fork('timers'), random.between(0.995, 1.005));
  }

  get admission(): 'run' | 'drop' | 'defer' {
    return this.#state === 'running' ? 'run' : this.#state === 'dead' ? 'drop' : 'defer';
  }

  get isAlive(): boolean {
    return this.#state !== 'dead';
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  defer(task: Task): void {
    this.#deferred.push(task);
  }

  kill(): void {
    this.#state = 'dead';
    this.#deferred.length = 0;
  }

  stop(): void {
    if (this.#state === 'running') this.#state = 'stopped';
  }

  goOn(): void {
    if (this.#state !== 'stopped') return;
    this.#state = 'running';
    for (const task of this.#deferred.splice(0)) this.#scheduler.resume(task);
  }

  /** The clock for people jumps. */
  jump(ms: number): void {
    this.#skewMs += ms;
  }

  #makeClock(random: Random, rate: number): Clock {
    const scheduler = this.#scheduler;
    const bornAt = scheduler.now;
    const start = (ms: number, act: () => void): Task => scheduler.schedule(Math.max(0, ms) / rate + random.next() * timerLatenessMs, this, act);
    return {
      now: () => scheduler.epochMs + scheduler.now + this.#skewMs,
      monotonic: () => 1_000 + (scheduler.now - bornAt) * rate,
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          if (signal?.aborted) {
            reject(signal.reason);
            return;
          }
          const onAbort = (): void => {
            task.cancelled = true;
            reject(signal?.reason);
          };
          const task = start(ms, () => {
            signal?.removeEventListener('abort', onAbort);
            resolve();
          });
          signal?.addEventListener('abort', onAbort, { once: true });
        }),
      after: (ms, act) => {
        const task = start(ms, act);
        return () => {
          task.cancelled = true;
        };
      },
      endOfTurn: (act) => void scheduler.schedule(0, this, act),
    };
  }
}
