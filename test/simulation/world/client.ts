import { create } from '@bufbuild/protobuf';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import type { DataPlane } from '../../../gateway/data-plane.ts';
import {
  BatchGetRequestSchema,
  Comparison_Operator,
  DeleteRequestSchema,
  GetRequestSchema,
  MutateRequestSchema,
  UpdateRequestSchema,
  UpsertRequestSchema,
  type GetResponse,
} from '../../../gen/switchyard/data/v1/data_service_pb.ts';
import type { RpcContext } from '../../../runtime/grpc-server.ts';
import { Connection, ConnectionLost, GivenUp } from '../kernel/connection.ts';
import type { Network } from '../kernel/network.ts';
import { SimProcess } from '../kernel/process.ts';
import type { Random } from '../kernel/random.ts';
import type { Scheduler } from '../kernel/scheduler.ts';
import type { GatewayNode, GatewaySession } from './gateway-node.ts';
import type { RowAction, RowOperation, State } from '../../checker/history.ts';
import { counters, pairKey, registers, swaps } from './tables.ts';

export interface ClientOptions {
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly random: Random;
  readonly gateways: readonly GatewayNode[];
  /** Pause before the next operation, in ms. */
  readonly restMs: () => number;
  readonly onOperation: (operation: RowOperation) => void;
  /** A value that nobody has written yet. */
  readonly nextValue: () => number;
}

type Service = DataPlane['service'];
type Act<T> = (service: Service, context: RpcContext) => Promise<T>;
type Told<T> = { readonly outcome: 'ok'; readonly value: T } | { readonly outcome: 'failed' | 'unknown'; readonly error: unknown };

const callDeadlineMs = 3_000;
/** With these nobody knows whether a write was done. */
const isUnknown = (error: unknown): boolean =>
  !(error instanceof SwitchyardError) || hasReason(error, 'OUTCOME_UNKNOWN', 'DEADLINE_EXCEEDED', 'CANCELLED', 'PEER_UNREACHABLE', 'INTERNAL', 'STORE_FAILED');

/** A caller of gateways: one operation after another, through whichever gateway comes; some writes carry a request id and are sent again when nobody knows what became of them. */
export class Client {
  readonly name: string;
  readonly process: SimProcess;
  readonly #options: ClientOptions;
  readonly #random: Random;
  #isStopping = false;
  #lastSwap = 0;
  #requests = 0;
  /** Resolves when it has ended. */
  readonly done: Promise<void>;
  /** What it waits for now; null: nothing. */
  current: string | null = null;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.name = options.name;
    this.#random = options.random;
    this.process = new SimProcess(options.name, options.scheduler, options.random.fork('process'));
    this.done = this.#run();
  }

  stop(): void {
    this.#isStopping = true;
  }

  /** A write and a read of one register through this gateway, now: null when both succeed, else what failed. */
  async probe(gateway: GatewayNode, deadlineMs: number): Promise<string | null> {
    const key = this.#random.pick(registers);
    const value = this.#options.nextValue();
    const write = await this.#record(`item ${key}`, { kind: 'write', value }, () => this.#once(gateway, deadlineMs, upsert(key, value)));
    if (write.outcome !== 'ok') return `write: ${String(write.error)}`;
    const read = await this.#read(gateway, deadlineMs, key);
    return read.outcome === 'ok' ? null : `read: ${String(read.error)}`;
  }

  async #run(): Promise<void> {
    const { clock } = this.process;
    while (!this.#isStopping) {
      await clock.sleep(this.#options.restMs());
      if (this.#isStopping) break;
      await this.#operate(this.#random.pick(this.#options.gateways));
    }
  }

  async #operate(gateway: GatewayNode): Promise<void> {
    const random = this.#random;
    const roll = random.next();
    if (roll < 0.3) await this.#read(gateway, callDeadlineMs, random.pick([...registers, ...registers, ...counters, ...swaps]));
    else if (roll < 0.58) await this.#write(gateway, random.pick(registers));
    else if (roll < 0.74) await this.#increment(gateway, random.pick(counters));
    else if (roll < 0.86) await this.#swap(gateway, random.pick(swaps));
    else if (roll < 0.93) await this.#writePair(gateway);
    else await this.#readPair(gateway);
  }

  async #read(gateway: GatewayNode, deadlineMs: number, key: bigint): Promise<Told<State>> {
    const get: Act<State> = async (service, context) => stateOf(await found(service.get(create(GetRequestSchema, { table: 'item', key: rowKey(key) }), context)));
    const invoked = this.#options.scheduler.now;
    const told = await this.#once(gateway, deadlineMs, get);
    if (told.outcome === 'ok')
      this.#tell({ process: this.process.name, invoked, responded: this.#options.scheduler.now, outcome: 'ok', key: `item ${key}`, kind: 'read', saw: told.value });
    return told;
  }

  async #write(gateway: GatewayNode, key: bigint): Promise<void> {
    if (this.#random.chance(0.12)) {
      await this.#record(`item ${key}`, { kind: 'delete' }, (requestId) =>
        this.#send(gateway, requestId, (service, context) =>
          service.delete(create(DeleteRequestSchema, { table: 'item', key: rowKey(key), allowMissing: true, requestId }), context),
        ),
      );
      return;
    }
    const value = this.#options.nextValue();
    await this.#record(`item ${key}`, { kind: 'write', value }, (requestId) => this.#send(gateway, requestId, upsert(key, value, requestId)));
  }

  async #increment(gateway: GatewayNode, key: bigint): Promise<void> {
    const add: (requestId: string) => Act<number> = (requestId) => async (service, context) => {
      const answer = await service.update(create(UpdateRequestSchema, { table: 'item', key: rowKey(key), add: row(1), returning: ['value'], requestId }), context);
      return Number(stateOf(answer as Pick<GetResponse, 'row'>));
    };
    await this.#record(
      `item ${key}`,
      { kind: 'increment', by: 1 },
      (requestId) => this.#send(gateway, requestId, add(requestId)),
      (saw) => ({ kind: 'increment', by: 1, saw }),
    );
  }

  async #swap(gateway: GatewayNode, key: bigint): Promise<void> {
    const expected = this.#lastSwap;
    const value = this.#options.nextValue();
    const swap: (requestId: string) => Act<boolean> = (requestId) => async (service, context) => {
      try {
        const precondition = { kind: { case: 'compare' as const, value: { column: 'value', operator: Comparison_Operator.EQUAL, value: int(expected) } } };
        await service.update(create(UpdateRequestSchema, { table: 'item', key: rowKey(key), row: row(value), precondition, requestId }), context);
        return true;
      } catch (error) {
        if (hasReason(error, 'PRECONDITION_FAILED')) return false;
        throw error;
      }
    };
    const told = await this.#record(
      `item ${key}`,
      { kind: 'swap', expected, value },
      (requestId) => this.#send(gateway, requestId, swap(requestId)),
      (swapped) => ({ kind: 'swap', expected, value, swapped }),
    );
    if (told.outcome === 'ok' && told.value) this.#lastSwap = value;
    else {
      const seen = await this.#read(gateway, callDeadlineMs, key);
      if (seen.outcome === 'ok') this.#lastSwap = Number(seen.value);
    }
  }

  /** Both rows of the pair in one transaction; judged as one register. */
  async #writePair(gateway: GatewayNode): Promise<void> {
    const value = this.#options.nextValue();
    const mutations = ['item', 'line'].map((table) => ({ kind: { case: 'update' as const, value: { table, key: rowKey(pairKey), row: row(value) } } }));
    await this.#record('pair', { kind: 'write', value }, (requestId) =>
      this.#send(gateway, requestId, (service, context) => service.mutate(create(MutateRequestSchema, { mutations, requestId }), context)),
    );
  }

  /** One row of the pair, either of them. */
  async #readPair(gateway: GatewayNode): Promise<void> {
    const table = this.#random.pick(['item', 'line']);
    const invoked = this.#options.scheduler.now;
    const get: Act<State> = async (service, context) => {
      const { entries } = await service.batchGet(create(BatchGetRequestSchema, { table, keys: [rowKey(pairKey)] }), context);
      return stateOf(entries?.[0] as GetResponse | undefined);
    };
    const told = await this.#once(gateway, callDeadlineMs, get);
    if (told.outcome === 'ok')
      this.#tell({ process: this.process.name, invoked, responded: this.#options.scheduler.now, outcome: 'ok', key: 'pair', kind: 'read', saw: told.value });
  }

  async #record<T>(key: string, intended: RowAction, act: (requestId: string) => Promise<Told<T>>, claimed?: (value: T) => RowAction): Promise<Told<T>> {
    const { scheduler } = this.#options;
    this.#requests += 1;
    const requestId = this.#random.chance(0.5) ? `${this.process.name}-${this.#requests}` : '';
    const invoked = scheduler.now;
    this.current = `${intended.kind} ${key} since ${invoked.toFixed(1)}`;
    const told = await act(requestId);
    this.current = null;
    const action = told.outcome === 'ok' && claimed !== undefined ? claimed(told.value) : intended;
    this.#tell({ process: `${this.process.name}${requestId === '' ? '' : ` ${requestId}`}`, invoked, responded: scheduler.now, outcome: told.outcome, key, ...action });
    return told;
  }

  /** With a request id again and again, through any gateway, until the outcome is known; some callers also repeat what has been answered. */
  async #send<T>(gateway: GatewayNode, requestId: string, act: Act<T>): Promise<Told<T>> {
    let told = await this.#once(gateway, callDeadlineMs, act);
    if (requestId === '') return told;
    let wasUnknown = told.outcome === 'unknown';
    for (let tries = 0; told.outcome === 'unknown' && tries < 4; tries += 1) {
      await this.process.clock.sleep(this.#random.between(5, 300));
      told = await this.#once(this.#random.pick(this.#options.gateways), callDeadlineMs, act);
      wasUnknown ||= told.outcome === 'unknown';
      // That this try was not applied says nothing of those before it.
      if (wasUnknown && told.outcome === 'failed') told = { ...told, outcome: 'unknown' };
    }
    if (told.outcome === 'ok' && this.#random.chance(0.1)) await this.#once(this.#random.pick(this.#options.gateways), callDeadlineMs, act);
    return told;
  }

  async #once<T>(gateway: GatewayNode, deadlineMs: number, act: Act<T>): Promise<Told<T>> {
    const { network, scheduler } = this.#options;
    if (!gateway.isReady) return { outcome: 'failed', error: 'the gateway does not listen yet' };
    const connection = new Connection<GatewaySession>(this.process, gateway, network, scheduler);
    const limit = new AbortController();
    const stop = this.process.clock.after(deadlineMs + 500, () => limit.abort());
    try {
      return { outcome: 'ok', value: await connection.send((session) => session.call(deadlineMs, this.process.name, act), { signal: limit.signal, onAbort: 'leave' }) };
    } catch (error) {
      if (error instanceof ConnectionLost) return { outcome: error.sent ? 'unknown' : 'failed', error };
      return { outcome: error instanceof GivenUp || isUnknown(error) ? 'unknown' : 'failed', error };
    } finally {
      stop();
      connection.release();
    }
  }

  #tell(operation: RowOperation): void {
    this.#options.onOperation(operation);
  }
}

const int = (value: number | bigint) => ({ kind: { case: 'int64Value' as const, value: BigInt(value) } });
const rowKey = (key: bigint) => ({ cells: { id: int(key) } });
const row = (value: number) => ({ cells: { value: int(value) } });

const upsert =
  (key: bigint, value: number, requestId = ''): Act<unknown> =>
  (service, context) =>
    service.upsert(create(UpsertRequestSchema, { table: 'item', row: { cells: { id: int(key), value: int(value) } }, requestId }), context);

async function found(answer: Promise<unknown>): Promise<GetResponse | undefined> {
  try {
    return (await answer) as GetResponse;
  } catch (error) {
    if (hasReason(error, 'ROW_NOT_FOUND')) return undefined;
    throw error;
  }
}

/** The row's value; null for no row, and for a row without one. */
function stateOf(answer: Pick<GetResponse, 'row'> | undefined): State {
  const kind = answer?.row?.cells?.value?.kind;
  return kind?.case === 'int64Value' ? Number(kind.value) : null;
}
