import { setTimeout as sleep } from 'node:timers/promises';
import type { ApplyBatch, Backend, FenceSession, OwnerStore, ReplicationStore, StoreOptions, StreamSpec } from '../../../backends/backend.ts';
import { attempt, type StreamToken } from '../../../core/ids.ts';
import { placeOf } from '../../../core/keyspace.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { Safeguard } from '../cutover/cutover-config.ts';
import { altered } from './altered.ts';
import { breakStore, openTombstone, pretendMarker } from './broken-store.ts';
import { LatePlayer } from './late-player.ts';

/** Between READABLE and CLOSED: a coordinator that is slow there, for less than the second after which another one finishes its work. */
const slowCloseMs = 400;
/** After the switch, while the cut-off gateway still reads where it did: the way back is slow, or it would keep the closed store all but current. */
const slowBackMs = 250;
const slowBackForMs = 1_500;
/** What a forgotten player still has in hand, and how long after the switch it comes with it. */
const forgottenMs = 1_000;
const lateMs = 400;

type ApplyArguments = readonly [stream: StreamSpec, schemas: ReadonlyMap<string, TableSchema>, token: StreamToken, batch: ApplyBatch];

export interface Alteration {
  /** The disturbance under which the safeguard is needed. */
  readonly disturbance: Safeguard;
  /** The safeguard that the stores lack; null: they are the product's own. */
  readonly broken: Safeguard | null;
  readonly log: (message: string) => void;
}

/** Latest applies of every stream by target and the store that a forgotten player would use. */
class ForgottenPlayers {
  readonly #kept: { readonly atMs: number; readonly call: ApplyArguments; readonly options: StoreOptions }[] = [];
  readonly #backend: Backend;
  readonly #log: (message: string) => void;

  constructor(backend: Backend, log: (message: string) => void) {
    this.#backend = backend;
    this.#log = log;
  }

  remember(call: ApplyArguments, options: StoreOptions): void {
    const nowMs = performance.now();
    while ((this.#kept[0]?.atMs ?? nowMs) < nowMs - forgottenMs) this.#kept.shift();
    this.#kept.push({ atMs: nowMs, call, options });
  }

  /** Applies once more what was applied within the last second, with the token of then. */
  async comeLate(): Promise<void> {
    const all = this.#kept.splice(0);
    await sleep(lateMs);
    let [applied, refused] = [0, 0];
    for (const { call, options } of all) {
      await using store = this.#backend.openReplication(options);
      try {
        await store.apply(...call, AbortSignal.timeout(5_000));
        applied += 1;
      } catch (error) {
        refused += 1;
        if (refused === 1) this.#log(`the forgotten player was refused: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    this.#log(`the forgotten player came back with ${all.length} batches: ${applied} applied, ${refused} refused`);
  }
}

/** A backend that behaves as a disturbance asks, on stores that may lack a safeguard. */
export function alteredBackend(backend: Backend, alteration: Alteration): Backend {
  const { disturbance, broken, log } = alteration;
  const forgotten = new ForgottenPlayers(backend, log);
  const late = new LatePlayer();
  let slowBackUntilMs = 0;
  /** The attempt under way: one workflow at a time. */
  let awaited = attempt(0);

  const alteredSession = (session: FenceSession, options: StoreOptions): FenceSession =>
    altered(session, {
      fence: async (asked, lockTimeoutMs, signal) => {
        awaited = asked;
        if (disturbance === 'marker') await late.begin(signal);
        try {
          await session.fence(asked, lockTimeoutMs, signal);
        } catch (error) {
          late.come();
          throw error;
        }
      },
      catchUp: async (stream, signal) => {
        const state = await session.catchUp(stream, signal);
        if (broken !== 'marker') {
          if (state.marker !== awaited) late.missed();
          return state;
        }
        return { ...state, marker: awaited };
      },
      ready: async (stream, asked, signal) => {
        if (broken === 'marker' && options.shard.kind === 'sqlite') pretendMarker(options, stream, asked);
        await session.ready(stream, asked, signal);
      },
      close: async (asked, signal) => {
        if (disturbance === 'fence') await sleep(slowCloseMs);
        return session.close(asked, signal);
      },
      abort: async (asked, signal) => {
        late.come();
        await session.abort(asked, signal);
      },
      open: async (stream, asked, signal) => {
        await session.open(stream, asked, signal);
        late.come();
        if (disturbance === 'read-fence') slowBackUntilMs = performance.now() + slowBackForMs;
        if (disturbance === 'token') forgotten.comeLate().catch((error: unknown) => log(`the forgotten player failed: ${String(error)}`));
      },
    });
  const alteredOwner = (owner: OwnerStore, options: StoreOptions): OwnerStore =>
    altered(owner, {
      install: async (signal) => {
        await owner.install(signal);
        // Those of the other kinds are in what the processes send: broken-statements.ts.
        if (broken === null || options.shard.kind !== 'postgres') return;
        await breakStore(options, broken);
        log(`the store at ${placeOf(options.shard)} has lost its ${broken}`);
      },
      disown: async (scope, state, signal) => {
        await owner.disown(scope, state, signal);
        if (broken === 'tombstone' && options.shard.kind === 'postgres') await openTombstone(options, scope.tables);
      },
      openFence: async (scope, signal) => alteredSession(await owner.openFence(scope, signal), options),
    });

  const alteredReplication = (store: ReplicationStore, options: StoreOptions): ReplicationStore =>
    altered(store, {
      follow: (stream, schemas, from, signal) => late.listen(store.follow(stream, schemas, from, signal)),
      apply: async (stream, schemas, token, batch, signal) => {
        await late.delay(signal);
        if (performance.now() < slowBackUntilMs) await sleep(slowBackMs);
        await store.apply(stream, schemas, token, batch, signal);
        if (disturbance === 'token') forgotten.remember([stream, schemas, token, batch], options);
      },
    });

  return altered(backend, {
    openOwner: (options) => alteredOwner(backend.openOwner(options), options),
    openReplication: (options) => alteredReplication(backend.openReplication(options), options),
  });
}
