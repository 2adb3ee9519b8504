import type { CopyProgress } from '../../backends/backend.ts';
import type { Attempt } from '../../core/ids.ts';
import { type Move, type MoveStreams, otherSide, type SideName, streamFrom } from '../move.ts';
import type { ControlDeps } from '../move.ts';
import { compareKeys } from '../verify/compare-keys.ts';
import { type StreamStatus, StreamSupervisor } from './stream-supervisor.ts';
import type { ShareBounds } from './work-share.ts';

export interface MoveStreamsOptions {
  readonly move: Move;
  readonly deps: ControlDeps;
  /** Whether the forward stream is to copy what was there before it. */
  readonly copies: () => boolean;
  /** How much of the time the copy may take, now. */
  readonly share: () => ShareBounds;
  readonly onProgress: (table: string, progress: CopyProgress, bytes: number) => void;
}

/** The two streams of one move, of which at most one has rows to carry at a time. Disposing stops both; their logs stay. */
export class RunningStreams implements MoveStreams, AsyncDisposable {
  readonly #move: Move;
  readonly #streams: Readonly<Record<SideName, StreamSupervisor>>;

  constructor({ move, deps, copies, share, onProgress }: MoveStreamsOptions) {
    this.#move = move;
    const stream = (from: SideName): StreamSupervisor =>
      new StreamSupervisor({
        stream: streamFrom(move, from),
        from: move[from],
        to: move[otherSide(from)],
        copies: () => from === 'source' && copies(),
        share,
        onProgress,
        clock: deps.clock,
        log: deps.log,
      });
    this.#streams = { source: stream('source'), target: stream('target') };
  }

  status(from: SideName): StreamStatus {
    return this.#streams[from].status;
  }

  stream(from: SideName): StreamSupervisor {
    return this.#streams[from];
  }

  lagMs(from: SideName): number | null {
    return this.#streams[from].lagMs();
  }

  problem(from: SideName): string | null {
    const status = this.status(from);
    switch (status.kind) {
      case 'stopped':
        return 'the stream is stopped';
      case 'starting':
        return status.problem ?? 'the stream is starting';
      case 'following':
        return null;
      case 'ended':
        return `${status.error.reason}: ${status.error.message}`;
    }
  }

  hurry(from: SideName): Disposable {
    return this.#streams[from].hurry();
  }

  /** Begins to run the stream if it is stopped, and does not wait. */
  begin(from: SideName): void {
    this.#streams[from].begin();
  }

  start(from: SideName, signal: AbortSignal): Promise<void> {
    return this.#streams[from].start(signal);
  }

  stop(from: SideName): Promise<void> {
    return this.#streams[from].stop();
  }

  async freeze(from: SideName, by: Attempt, signal: AbortSignal): Promise<void> {
    await this.stop(from);
    await this.#move[from].owner.dropLog(streamFrom(this.#move, from), by, signal);
  }

  async compareLastChanged(from: SideName, signal: AbortSignal): Promise<{ readonly compared: number; readonly different: number }> {
    const running = this.status(from).kind === 'following' ? from : otherSide(from);
    const stream = this.#streams[running];
    let compared = 0;
    let different = 0;
    for (const [table, keys] of this.#streams[from].recent.byTable()) {
      const result = await compareKeys(stream, table, keys, signal);
      compared += keys.length;
      different += result.length;
    }
    return { compared, different };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.stop('source'), this.stop('target')]);
  }
}
