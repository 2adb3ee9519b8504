import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { Clock } from '../../core/clock.ts';
import type { FenceRow } from '../../core/fence.ts';
import { type Attempt, type Position, position, type StreamToken, streamToken } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import {
  type FenceScope as WireScope,
  OwnerStoreService,
  type Problem as WireProblem,
  type SequenceState as WireSequence,
  Side,
} from '../../gen/switchyard/store/v1/owner_store_pb.ts';
import { definitionFromMessage, definitionMessage } from '../../runtime/wire/definition-message.ts';
import { fenceRowFromMessage, wireStates } from '../../runtime/wire/fence-message.ts';
import type { FenceScope, FenceSession, KeptLog, OwnerStore, Problem, SequenceState, StreamSeen, StreamSpec, TableDefinition } from '../backend.ts';
import type { ServiceStoreOptions } from './data-store.ts';
import { read } from './failures.ts';
import { ServiceFenceSession } from './fence-session.ts';
import { streamMessage } from './replication-store.ts';
import { soundSchema } from './sound-schema.ts';
import type { Effect } from './transport.ts';
import { wholeNumber } from './whole-number.ts';

/** Three times what the other end lets such a call wait. */
const INDEX_CALL_MS = 30_000;
/** It has waited for us already. */
const INDEX_PAUSE_MS = 1_000;

export interface ServiceOwnerOptions extends ServiceStoreOptions {
  readonly clock: Clock;
}

const owner = OwnerStoreService.method;
const sides = { source: Side.SOURCE, target: Side.TARGET } as const;

/** The owner's store where a control process of another Switchyard passes its own on. Every call may be repeated there as here. */
export class ServiceOwnerStore implements OwnerStore {
  readonly #options: ServiceOwnerOptions;
  readonly #remote: { readonly keyspace: string };

  constructor(options: ServiceOwnerOptions) {
    this.#options = options;
    this.#remote = { keyspace: options.remoteKeyspace };
  }

  async install(signal: AbortSignal): Promise<void> {
    await this.#do(owner.install, this.#remote, signal);
  }

  async watch(tables: readonly string[], on: boolean, signal: AbortSignal): Promise<void> {
    await this.#do(owner.watch, { ...this.#remote, tables: [...tables], on }, signal);
  }

  async watched(signal: AbortSignal): Promise<readonly string[]> {
    return (await this.#ask(owner.watched, this.#remote, signal)).tables;
  }

  async expireEvents(ageMs: number, limit: number, signal: AbortSignal): Promise<number> {
    return (await this.#do(owner.expireEvents, { ...this.#remote, ageMs, limit }, signal)).removed;
  }

  async expireRequests(ageMs: number, limit: number, signal: AbortSignal): Promise<number> {
    return (await this.#do(owner.expireRequests, { ...this.#remote, ageMs, limit }, signal)).removed;
  }

  async checkStore(signal: AbortSignal): Promise<readonly Problem[]> {
    return (await this.#ask(owner.checkStore, this.#remote, signal)).problems.map(problemFromMessage);
  }

  async checkTables(tables: readonly string[], side: 'source' | 'target', signal: AbortSignal): Promise<readonly Problem[]> {
    return (await this.#ask(owner.checkTables, { ...this.#remote, tables: [...tables], side: sides[side] }, signal)).problems.map(problemFromMessage);
  }

  async checkQuiet(tables: readonly string[], transactionAgeMs: number, signal: AbortSignal): Promise<readonly Problem[]> {
    return (await this.#ask(owner.checkQuiet, { ...this.#remote, tables: [...tables], transactionAgeMs }, signal)).problems.map(problemFromMessage);
  }

  async define(tables: readonly string[], signal: AbortSignal): Promise<readonly TableDefinition[]> {
    const { definitions } = await this.#ask(owner.define, { ...this.#remote, tables: [...tables] }, signal);
    const told = read(this.#options.keyspace, false, () => definitions.map(definitionFromMessage));
    return told.map((definition) => ({ ...definition, schema: soundSchema(definition.schema) }));
  }

  async planTables(definitions: readonly TableDefinition[], signal: AbortSignal): Promise<readonly string[]> {
    return (await this.#ask(owner.planTables, { ...this.#remote, definitions: definitions.map(definitionMessage) }, signal)).statements;
  }

  async createTables(scope: FenceScope, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void> {
    await this.#do(owner.createTables, { ...this.#of(scope), definitions: definitions.map(definitionMessage) }, signal);
  }

  /** The other end goes on between the calls: none of them takes long, so that one that is silent is found, and a call that is lost loses nothing. */
  async createIndexes(scope: FenceScope, definitions: readonly TableDefinition[], signal: AbortSignal): Promise<void> {
    const request = { ...this.#of(scope), definitions: definitions.map(definitionMessage) };
    // A 'read': nothing is in doubt when its answer is lost, for it is asked again.
    while (!(await this.#inTime((limited) => this.#ask(owner.createIndexes, request, limited), signal)).done) await this.#options.clock.sleep(INDEX_PAUSE_MS, signal);
  }

  async dropTables(scope: FenceScope, signal: AbortSignal): Promise<void> {
    await this.#do(owner.dropTables, this.#of(scope), signal);
  }

  async claim(scope: FenceScope, side: 'source' | 'target', signal: AbortSignal): Promise<void> {
    await this.#do(owner.claim, { ...this.#of(scope), side: sides[side] }, signal);
  }

  async disown(scope: FenceScope, state: 'OPEN' | 'CLOSED', signal: AbortSignal): Promise<void> {
    await this.#do(owner.disown, { ...this.#of(scope), state: wireStates[state] }, signal);
  }

  async saveRights(scope: FenceScope, rights: ReadonlyMap<string, readonly string[]>, signal: AbortSignal): Promise<void> {
    const named = Object.fromEntries([...rights].map(([table, names]) => [table, { names: [...names] }]));
    await this.#do(owner.saveRights, { ...this.#of(scope), rights: named }, signal);
  }

  async gatewayRights(tables: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, readonly string[]>> {
    const { rights } = await this.#ask(owner.gatewayRights, { ...this.#remote, tables: [...tables] }, signal);
    return new Map(Object.entries(rights).map(([table, { names }]) => [table, names]));
  }

  async createLog(stream: StreamSpec, by: Attempt, signal: AbortSignal): Promise<Position> {
    return position((await this.#do(owner.createLog, { ...this.#in(stream), by: BigInt(by) }, signal)).position);
  }

  async dropLog(stream: StreamSpec, by: Attempt | null, signal: AbortSignal): Promise<void> {
    await this.#do(owner.dropLog, { ...this.#in(stream), ...(by === null ? {} : { by: BigInt(by) }) }, signal);
  }

  /** What logs keep there is measured, and bounded, by whoever serves the store: it is that one's disk. */
  async keptLogs(): Promise<readonly KeptLog[]> {
    return [];
  }

  async dropKeptLog(): Promise<boolean> {
    return false;
  }

  async trimLogs(): Promise<number> {
    return 0;
  }

  async streamToken(stream: StreamSpec, signal: AbortSignal): Promise<StreamToken | null> {
    const { token } = await this.#ask(owner.streamToken, this.#in(stream), signal);
    return token === undefined ? null : read(this.#options.keyspace, false, () => streamToken(wholeNumber(token)));
  }

  async beginStream(stream: StreamSpec, from: Position, { token, scope, state }: StreamSeen, signal: AbortSignal): Promise<void> {
    const seen = { ...(token === null ? {} : { seenToken: BigInt(token) }), seenScope: scopeMessage(scope), seenState: wireStates[state] };
    await this.#do(owner.beginStream, { ...this.#in(stream), position: from, ...seen }, signal);
  }

  async dropStream(stream: StreamSpec, signal: AbortSignal): Promise<void> {
    await this.#do(owner.dropStream, this.#in(stream), signal);
  }

  async sequences(tables: readonly string[], signal: AbortSignal): Promise<readonly SequenceState[]> {
    return (await this.#ask(owner.sequences, { ...this.#remote, tables: [...tables] }, signal)).sequences.map(sequenceFromMessage);
  }

  async raiseSequences(states: readonly SequenceState[], signal: AbortSignal): Promise<void> {
    await this.#do(owner.raiseSequences, { ...this.#remote, sequences: states.map(({ table, column, value }) => ({ table, column, value })) }, signal);
  }

  async fenceRows(tables: readonly string[] | null, signal: AbortSignal): Promise<readonly FenceRow[]> {
    return (await this.#ask(owner.fenceRows, { ...this.#remote, all: tables === null, tables: [...(tables ?? [])] }, signal)).rows.map(fenceRowFromMessage);
  }

  async openFence(scope: FenceScope, signal: AbortSignal): Promise<FenceSession> {
    await this.#do(owner.openFence, this.#of(scope), signal);
    return new ServiceFenceSession({ transport: this.#options.transport, scoped: this.#of(scope) });
  }

  async relaxFence(scope: FenceScope, signal: AbortSignal): Promise<void> {
    await this.#do(owner.relaxFence, this.#of(scope), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.transport[Symbol.asyncDispose]();
  }

  /** STORE_UNAVAILABLE: no answer within the limit of a call that waits for indexes. */
  async #inTime<T>(ask: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    const { keyspace, clock } = this.#options;
    const limit = new AbortController();
    const late = `the service of keyspace "${keyspace}" did not answer within ${INDEX_CALL_MS / 1_000} s whether indexes are made`;
    const stop = clock.after(INDEX_CALL_MS, () => limit.abort(new SwitchyardError('STORE_UNAVAILABLE', late)));
    try {
      return await ask(AbortSignal.any([signal, limit.signal]));
    } finally {
      stop();
    }
  }

  #of(scope: FenceScope) {
    return { ...this.#remote, scope: scopeMessage(scope) };
  }

  #in(stream: StreamSpec) {
    return { ...this.#remote, stream: streamMessage(stream) };
  }

  #ask<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    signal: AbortSignal,
    effect: Effect = 'read',
  ): Promise<MessageShape<O>> {
    return this.#options.transport.unary(method, request, { signal, effect });
  }

  #do<I extends DescMessage, O extends DescMessage>(method: DescMethodUnary<I, O>, request: MessageInitShape<I>, signal: AbortSignal): Promise<MessageShape<O>> {
    return this.#ask(method, request, signal, 'write');
  }
}

export const scopeMessage = ({ workflow, peer, tables }: FenceScope): WireScope => ({ $typeName: 'switchyard.store.v1.FenceScope', workflow, peer, tables: [...tables] });

const problemFromMessage = ({ table, message, fix }: WireProblem): Problem => ({ table: table ?? null, message, fix });

export const sequenceFromMessage = ({ table, column, value }: WireSequence): SequenceState => ({ table, column, value });
