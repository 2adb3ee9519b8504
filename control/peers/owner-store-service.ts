import type { FenceScope, FenceSession, Problem, SequenceState, StreamSpec } from '../../backends/backend.ts';
import { type Attempt, attempt, position, streamToken } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { StreamSpec as WireStream } from '../../gen/switchyard/store/v1/common_pb.ts';
import {
  type FenceScope as WireScope,
  type OwnerStoreService,
  Side,
  type TransitionRequest,
  TransitionRequest_Kind as Kind,
} from '../../gen/switchyard/store/v1/owner_store_pb.ts';
import type { RpcImplementation } from '../../runtime/grpc-server.ts';
import { definitionFromMessage, definitionMessage } from '../../runtime/wire/definition-message.ts';
import { countOf, limitOf } from '../../runtime/wire/counts.ts';
import { fenceRowMessage } from '../../runtime/wire/fence-message.ts';
import { FenceState as WireState } from '../../gen/switchyard/store/v1/common_pb.ts';
import type { PeerIndexBuilds } from './index-builds.ts';
import type { PeerStores } from './peer-stores.ts';
import type { WarmFences } from './warm-fences.ts';

/** The stores of this cluster as peers' control processes use them under the owner's login. */
export function ownerStoreService(stores: PeerStores, fences: WarmFences, builds: PeerIndexBuilds): RpcImplementation<typeof OwnerStoreService> {
  const { owner } = stores;
  return {
    install: ({ keyspace }, { signal }) => owner(keyspace, (store) => done(store.install(signal))),
    watch: ({ keyspace, tables, on }, { signal }) => owner(keyspace, (store) => done(store.watch(tables, on, signal))),
    watched: ({ keyspace }, { signal }) => owner(keyspace, async (store) => ({ tables: [...(await store.watched(signal))] })),
    expireEvents: ({ keyspace, ageMs, limit }, { signal }) =>
      owner(keyspace, async (store) => ({ removed: await store.expireEvents(msOf(ageMs, 'age_ms'), limitOf(limit), signal) })),
    expireRequests: ({ keyspace, ageMs, limit }, { signal }) =>
      owner(keyspace, async (store) => ({ removed: await store.expireRequests(msOf(ageMs, 'age_ms'), limitOf(limit), signal) })),
    checkStore: ({ keyspace }, { signal }) => owner(keyspace, async (store) => problems(await store.checkStore(signal))),
    checkTables: ({ keyspace, tables, side }, { signal }) => owner(keyspace, async (store) => problems(await store.checkTables(tables, sideOf(side), signal))),
    checkQuiet: ({ keyspace, tables, transactionAgeMs }, { signal }) =>
      owner(keyspace, async (store) => problems(await store.checkQuiet(tables, msOf(transactionAgeMs, 'transaction_age_ms'), signal))),
    define: ({ keyspace, tables }, { signal }) => owner(keyspace, async (store) => ({ definitions: (await store.define(tables, signal)).map(definitionMessage) })),
    planTables: ({ keyspace, definitions }, { signal }) =>
      owner(keyspace, async (store) => ({ statements: [...(await store.planTables(definitions.map(definitionFromMessage), signal))] })),
    createTables: ({ keyspace, scope, definitions }, { signal }) =>
      owner(keyspace, (store) => done(store.createTables(scopeOf(scope), definitions.map(definitionFromMessage), signal))),
    createIndexes: async ({ keyspace, scope, definitions }, { signal }) => ({ done: await builds.ask(keyspace, scopeOf(scope), definitions.map(definitionFromMessage), signal) }),
    dropTables: ({ keyspace, scope }, { signal }) => owner(keyspace, (store) => done(store.dropTables(scopeOf(scope), signal))),
    claim: ({ keyspace, scope, side }, { signal }) => owner(keyspace, (store) => done(store.claim(scopeOf(scope), sideOf(side), signal))),
    disown: ({ keyspace, scope, state }, { signal }) => owner(keyspace, (store) => done(store.disown(scopeOf(scope), restState(state), signal))),
    saveRights: ({ keyspace, scope, rights }, { signal }) => {
      const named = new Map(Object.entries(rights).map(([table, { names }]) => [table, names]));
      return owner(keyspace, (store) => done(store.saveRights(scopeOf(scope), named, signal)));
    },
    gatewayRights: ({ keyspace, tables }, { signal }) =>
      owner(keyspace, async (store) => {
        const rights = await store.gatewayRights(tables, signal);
        return { rights: Object.fromEntries([...rights].map(([table, names]) => [table, { names: [...names] }])) };
      }),
    createLog: ({ keyspace, stream, by }, { signal }) => owner(keyspace, async (store) => ({ position: await store.createLog(streamOf(stream), attemptOf(by), signal) })),
    dropLog: ({ keyspace, stream, by }, { signal }) => owner(keyspace, (store) => done(store.dropLog(streamOf(stream), by === undefined ? null : attemptOf(by), signal))),
    streamToken: ({ keyspace, stream }, { signal }) =>
      owner(keyspace, async (store) => {
        const token = await store.streamToken(streamOf(stream), signal);
        return token === null ? {} : { token: BigInt(token) };
      }),
    beginStream: ({ keyspace, stream, position: from, seenToken, seenScope, seenState }, { signal }) => {
      const seen = { token: seenToken === undefined ? null : streamToken(countOf(seenToken, 'seen_token')), scope: scopeOf(seenScope), state: restState(seenState) };
      return owner(keyspace, (store) => done(store.beginStream(streamOf(stream), position(from), seen, signal)));
    },
    dropStream: ({ keyspace, stream }, { signal }) => owner(keyspace, (store) => done(store.dropStream(streamOf(stream), signal))),
    sequences: ({ keyspace, tables }, { signal }) => owner(keyspace, async (store) => ({ sequences: (await store.sequences(tables, signal)).map(sequenceMessage) })),
    raiseSequences: ({ keyspace, sequences }, { signal }) =>
      owner(keyspace, (store) =>
        done(
          store.raiseSequences(
            sequences.map(({ table, column, value }) => ({ table, column, value })),
            signal,
          ),
        ),
      ),
    fenceRows: ({ keyspace, all, tables }, { signal }) => owner(keyspace, async (store) => ({ rows: (await store.fenceRows(all ? null : tables, signal)).map(fenceRowMessage) })),
    relaxFence: ({ keyspace, scope }, { signal }) => owner(keyspace, (store) => done(store.relaxFence(scopeOf(scope), signal))),

    openFence: ({ keyspace, scope }, { signal }) => fences.use(keyspace, scopeOf(scope), signal, async () => ({})),
    highestAttempt: ({ keyspace, scope }, { signal }) =>
      fences.use(keyspace, scopeOf(scope), signal, async (session) => ({ attempt: BigInt(await session.highestAttempt(signal)) })),
    transition: (request, { signal }) => fences.use(request.keyspace, scopeOf(request.scope), signal, (session) => done(transit(session, request, signal))),
    catchUp: ({ keyspace, scope, stream }, { signal }) =>
      fences.use(keyspace, scopeOf(scope), signal, async (session) => {
        const { marker, fences: rows } = await session.catchUp(streamOf(stream), signal);
        return { marker: BigInt(marker), fences: rows.map(fenceRowMessage) };
      }),
    scopeSequences: ({ keyspace, scope }, { signal }) =>
      fences.use(keyspace, scopeOf(scope), signal, async (session) => ({ sequences: (await session.sequences(signal)).map(sequenceMessage) })),
    scopeFenceRows: ({ keyspace, scope }, { signal }) =>
      fences.use(keyspace, scopeOf(scope), signal, async (session) => ({ rows: (await session.fenceRows(signal)).map(fenceRowMessage) })),
  };
}

function transit(session: FenceSession, { kind, attempt: of, lockTimeoutMs, stream }: TransitionRequest, signal: AbortSignal): Promise<void> {
  switch (kind) {
    case Kind.PREPARE:
      return session.prepare(attemptOf(of), signal);
    case Kind.FENCE:
      return session.fence(attemptOf(of), msOf(lockTimeoutMs, 'lock_timeout_ms'), signal);
    case Kind.COMMIT:
      return session.commit(attemptOf(of), signal);
    case Kind.ABORT:
      return session.abort(attemptOf(of), signal);
    case Kind.READY:
      return session.ready(streamOf(stream), attemptOf(of), signal);
    case Kind.CLOSE:
      return session.close(attemptOf(of), signal);
    case Kind.OPEN:
      return session.open(streamOf(stream), attemptOf(of), signal);
    case Kind.UNSPECIFIED:
      throw argument('kind: a transition that this release does not know');
    default:
      throw argument(`kind: got ${String(kind)}, a transition that this release does not know`);
  }
}

/** Three hundred years. */
const MOST_MS = 1e13;

const argument = (message: string): SwitchyardError => new SwitchyardError('ARGUMENT_INVALID', message);

const done = async (work: Promise<void>): Promise<Record<string, never>> => {
  await work;
  return {};
};

const attemptOf = (value: bigint): Attempt => attempt(countOf(value, 'attempt'));

function msOf(value: number, field: string): number {
  if (value >= 0 && value <= MOST_MS) return value;
  throw argument(`${field}: got ${value}; must be 0 to ${MOST_MS}`);
}

function scopeOf(scope: WireScope | undefined): FenceScope {
  if (scope === undefined || scope.workflow === '' || scope.tables.length === 0) throw argument('scope: must name a workflow and its tables');
  return { workflow: scope.workflow, peer: scope.peer, tables: scope.tables };
}

/** A stream that a request names. ARGUMENT_INVALID. */
export function streamOf(stream: WireStream | undefined): StreamSpec {
  if (stream === undefined || stream.id === '' || stream.workflow === '') throw argument('stream: must name itself and its workflow');
  return { id: stream.id, workflow: stream.workflow, tables: stream.tables };
}

function sideOf(side: Side): 'source' | 'target' {
  if (side === Side.SOURCE) return 'source';
  if (side === Side.TARGET) return 'target';
  throw argument(`side: got ${side}; must be SIDE_SOURCE or SIDE_TARGET`);
}

/** The two states in which nothing is under way. */
function restState(state: WireState): 'OPEN' | 'CLOSED' {
  if (state === WireState.OPEN) return 'OPEN';
  if (state === WireState.CLOSED) return 'CLOSED';
  throw argument(`state: got ${String(state)}; must be OPEN or CLOSED`);
}

const problems = (found: readonly Problem[]) => ({ problems: found.map(({ table, message, fix }) => ({ message, fix, ...(table === null ? {} : { table }) })) });

const sequenceMessage = ({ table, column, value }: SequenceState) => ({ table, column, value });
