import type { CopyProgress, StreamSpec } from '../../backends/backend.ts';
import type { Cell } from '../../core/cell.ts';
import type { Clock } from '../../core/clock.ts';
import { hasReason, SwitchyardError } from '../../core/switchyard-error.ts';
import type { Logger } from '../../runtime/logger.ts';
import { Gate } from '../gate.ts';
import type { Side } from '../move.ts';
import { copyTables } from './copier.ts';
import type { BothRows } from './log-window.ts';
import { Player } from './player.ts';
import { RecentKeys } from './recent-keys.ts';
import { copyRequests } from './request-copier.ts';
import { readSchemas, type StreamSchemas } from './stream-schemas.ts';
import type { ShareBounds } from './work-share.ts';

const firstPauseMs = 100;
const longestPauseMs = 5_000;
/** An attempt that ran this long was a good one: the next pause is short again. */
const goodAttemptMs = 30_000;
const recentKeys = 1_000;

export interface StreamOptions {
  readonly stream: StreamSpec;
  readonly from: Side;
  readonly to: Side;
  /** Whether rows and records of requests that were there before the stream are to be copied. */
  readonly copies: () => boolean;
  /** Told of the records under the name `REQUESTS`. */
  readonly onProgress: (table: string, progress: CopyProgress, bytes: number) => void;
  /** How much of the time the copy may take, now. */
  readonly share: () => ShareBounds;
  readonly clock: Clock;
  readonly log: Logger;
}

export type StreamStatus =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'starting'; readonly problem: string | null }
  | { readonly kind: 'following' }
  /** Not tried again by itself: somebody else took the stream over, or trying again cannot help. */
  | { readonly kind: 'ended'; readonly error: SwitchyardError };

/** Faults that no repetition mends. */
const isFinal = (error: SwitchyardError): boolean => hasReason(error, 'STREAM_TAKEN', 'STREAM_FAILED', 'SCHEMA_CHANGED', 'TABLE_UNSUPPORTED');

/** Runs one stream: starts attempt after attempt, with a growing pause after a fault, until stopped or until no attempt can succeed. */
export class StreamSupervisor {
  readonly #options: StreamOptions;
  readonly #recent = new RecentKeys(recentKeys);
  readonly #changed = new Gate();
  #status: StreamStatus = { kind: 'stopped' };
  #player: Player | null = null;
  #schemas: StreamSchemas = { from: new Map(), to: new Map() };
  #run: { readonly controller: AbortController; readonly done: Promise<void> } | null = null;
  #hurries = 0;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  get status(): StreamStatus {
    return this.#status;
  }

  get recent(): RecentKeys {
    return this.#recent;
  }

  /** The tables' shapes at both ends; empty before the first attempt. */
  get schemas(): StreamSchemas {
    return this.#schemas;
  }

  lagMs(): number | null {
    return this.#player?.lagMs() ?? null;
  }

  /** Keeps the lag as small as can be, at the price of more commits on the target, until disposed of. */
  hurry(): Disposable {
    this.#hurries += 1;
    return {
      [Symbol.dispose]: () => {
        this.#hurries -= 1;
      },
    };
  }

  /** Begins to run the stream if it is stopped, and does not wait. */
  begin(): void {
    if (this.#run !== null) return;
    this.#status = { kind: 'starting', problem: null };
    const controller = new AbortController();
    this.#run = { controller, done: this.#loop(controller.signal) };
  }

  /** Resolves when the stream follows its log; rejects when it has ended for good. Following already: success. An ended stream is begun anew. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#status.kind === 'ended') await this.stop();
    this.begin();
    for (;;) {
      const status = this.#status;
      if (status.kind === 'following') return;
      if (status.kind === 'ended') throw status.error;
      if (status.kind === 'stopped') throw new SwitchyardError('STREAM_FAILED', `stream ${this.#options.stream.id} was stopped while it started`);
      await this.#changed.wait(signal);
    }
  }

  /** Ends the player; resolves when it has let go of both stores. Can be started again. */
  async stop(): Promise<void> {
    const run = this.#run;
    if (run === null) return;
    run.controller.abort(new SwitchyardError('CANCELLED', `stream ${this.#options.stream.id} was stopped`));
    await run.done;
    if (this.#run !== run) return;
    this.#run = null;
    this.#set({ kind: 'stopped' });
  }

  /** Both sides' rows of these keys at one place of the source's history. STREAM_FAILED while the stream does not run. */
  async readBoth(table: string, keys: readonly (readonly Cell[])[], signal: AbortSignal): Promise<BothRows> {
    const schema = this.#schemas.from.get(table);
    if (schema === undefined) throw this.#notRunning();
    return this.#running().readBoth(schema, keys, signal);
  }

  /** See `Player.repair`. STREAM_FAILED while the stream does not run. */
  async repair(table: string, keys: readonly (readonly Cell[])[], signal: AbortSignal): Promise<void> {
    const schema = this.#schemas.from.get(table);
    if (schema === undefined) throw this.#notRunning();
    await this.#running().repair(schema, keys, signal);
  }

  /** See `Player.untilReadable`. STREAM_FAILED while the stream does not run. */
  async untilReadable(signal: AbortSignal): Promise<void> {
    await this.#running().untilReadable(signal);
  }

  #running(): Player {
    if (this.#player === null) throw this.#notRunning();
    return this.#player;
  }

  #notRunning(): SwitchyardError {
    return new SwitchyardError('STREAM_FAILED', `stream ${this.#options.stream.id} does not run just now`);
  }

  async #loop(signal: AbortSignal): Promise<void> {
    const { clock, log, stream } = this.#options;
    let pauseMs = firstPauseMs;
    while (!signal.aborted) {
      const startedAt = clock.monotonic();
      try {
        await this.#attempt(signal);
      } catch (error) {
        if (signal.aborted) return;
        const ours = error instanceof SwitchyardError ? error : new SwitchyardError('INTERNAL', `stream ${stream.id}: ${String(error)}`, { cause: error });
        log.warn({ stream: stream.id, reason: ours.reason, err: error }, 'the stream stopped');
        if (isFinal(ours)) return this.#set({ kind: 'ended', error: ours });
        this.#set({ kind: 'starting', problem: `${ours.reason}: ${ours.message}` });
      }
      if (clock.monotonic() - startedAt > goodAttemptMs) pauseMs = firstPauseMs;
      await clock.sleep(pauseMs, signal).catch(() => undefined); // only an abort rejects, which ends the loop
      pauseMs = Math.min(longestPauseMs, pauseMs * 2);
    }
  }

  async #attempt(signal: AbortSignal): Promise<void> {
    const { stream, from, to, clock } = this.#options;
    this.#schemas = await readSchemas(stream.tables, from, to, signal);
    const player = await Player.take({ stream, schemas: this.#schemas, from: from.player, to: to.player, clock, recent: this.#recent, hurried: () => this.#hurries > 0 }, signal);
    this.#player = player;
    const attempt = new AbortController();
    const both = AbortSignal.any([signal, attempt.signal]);
    const following = (): void => this.#set({ kind: 'following' });
    const copy = this.#copy(player, both);
    const playing = player.run(following, both);
    try {
      await Promise.race([playing, copy.then(() => playing)]);
    } finally {
      this.#player = null;
      attempt.abort(new SwitchyardError('CANCELLED', `an attempt of stream ${stream.id} ended`));
      await Promise.allSettled([copy, playing]);
    }
  }

  async #copy(player: Player, signal: AbortSignal): Promise<void> {
    const { from, to, clock, share, copies, onProgress, stream } = this.#options;
    if (!copies()) return;
    for (const [table, progress] of player.state.copied) onProgress(table, progress, 0);
    player.copying = true;
    const tables = stream.tables.flatMap((table) => this.#schemas.from.get(table) ?? []);
    await copyTables({ tables, from: from.player, to: to.player, target: this.#schemas.to, player, clock, share, onProgress }, signal);
    player.copying = false;
    await copyRequests({ tables: stream.tables, from: from.player, player, clock, share, onProgress }, signal);
  }

  #set(status: StreamStatus): void {
    this.#status = status;
    this.#changed.wake();
  }
}
