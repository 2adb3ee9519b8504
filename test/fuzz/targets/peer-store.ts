import { create, type DescMessage, type DescMethod, fromBinary, fromJsonString, toBinary, toJsonString } from '@bufbuild/protobuf';
import { Metadata } from '@grpc/grpc-js';
import { request as httpRequest } from 'node:http';
import type { Clock } from '../../../core/clock.ts';
import { AUTHORIZATION_KEY, PEER_KEY } from '../../../core/peer-call.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { peerServices, servePeerServices } from '../../../gateway/peers/serve-peers.ts';
import { Stores } from '../../../gateway/stores.ts';
import { ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { CallService } from '../../../gen/switchyard/store/v1/calls_pb.ts';
import { DataStoreService, type TransactRequest, type TransactResponse, TransactResponseSchema } from '../../../gen/switchyard/store/v1/data_store_pb.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { toGrpcError } from '../../../runtime/grpc-error.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { PeerAccess } from '../../../runtime/peers/access.ts';
import { askedBackend } from '../inputs/asked-store.ts';
import { type Hint, randomMessage } from '../inputs/random-message.ts';
import { fitting, shopShapes, type ValueInit } from '../inputs/shop-cells.ts';
import { columnNames, ShopFile, tableNames } from '../inputs/shop-file.ts';
import { ownMember } from '../../../core/own-member.ts';
import { nastyTexts } from '../mutate.ts';
import type { Random } from '../random.ts';
import { Finding, type FuzzTarget, must } from '../target.ts';
import { isReason, outcomeOf, reasonOf } from '../verdict.ts';
import { judge } from './http.ts';

const limitMs = 20_000;
const longestMessage = 20_000;
/** A caller of a transaction is given up after so much of its real time. */
const silenceFactor = 0.001;
const methods: readonly DescMethod[] = [DataStoreService, CallService].flatMap((service) => [...service.methods]);
const transact = DataStoreService.method.transact;
const writing: readonly DescMethod[] = [DataStoreService.method.write, DataStoreService.method.writeOnce];
const strays: readonly bigint[] = [0n, -1n, 2n ** 31n, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n)];

/** How a call comes, by the second byte: most by their bytes, over gRPC. */
const ways = ['bytes', 'bytes', 'bytes', 'bytes', 'bytes', 'json', 'path', 'stranger', 'gone', 'leaving'] as const;
type Way = (typeof ways)[number];

const peer = { name: 'theirs', secret: 'a-secret' } as const;
const fingerprints = new Map<string, string>();

/** A random message that has most of the fields of which `hint` knows something, so that more than its first step is reached. */
function likelyMessage(desc: DescMessage, random: Random, hint: Hint, depth = 0): object {
  const init = randomMessage(desc, random, hint, depth) as Record<string, unknown>;
  for (const member of desc.members) {
    if (member.kind === 'oneof') {
      const field = random.pick(member.fields);
      if (field.fieldKind === 'message' && desc.typeName.endsWith('.WriteOperation'))
        init[member.localName] = { case: field.localName, value: likelyMessage(field.message, random, hint, depth + 1) };
    } else if (init[member.localName] === undefined && random.chance(95)) {
      const value = hint(member, random, depth);
      if (value !== undefined) init[member.localName] = value;
    }
  }
  return init;
}

const likelyBytes = (desc: DescMessage, random: Random): Buffer => Buffer.from(toBinary(desc, create(desc, likelyMessage(desc, random, hintOf(random)) as never)));

/** Fills fields so that they fit one table, but for some. */
function hintOf(random: Random): Hint {
  const { table, key, others } = random.pick(shopShapes);
  const stray = random.pick([0, 0, 3, 15]);
  const some = <T>(good: T, other: readonly T[]): T => (random.chance(stray) ? random.pick(other) : good);
  const text = (good: string): string => some(good, nastyTexts).toWellFormed();
  const column = (): string => (random.chance(stray) ? random.pick([text('id'), random.pick(columnNames)]) : random.pick([...key, ...others]));
  const value = (name: string): ValueInit => ({
    kind: (random.chance(stray) ? ownMember(fitting, random.pick(columnNames)) : ownMember(fitting, name))?.(random) ?? { case: 'nullValue', value: 0 },
  });
  const several = (): string[] => {
    const picked = Array.from({ length: 1 + random.size(5) }, column);
    return random.chance(stray) ? picked : [...new Set(picked)];
  };
  const values = (names: readonly string[]): ValueInit[] => names.flatMap((name) => (random.chance(stray) ? [] : [value(name)]));
  const named = (names: readonly string[]): object => ({ columns: [...names], values: values(names) });
  const order = [...(random.chance(50) ? [] : others.filter((name) => name !== 'doc' && random.chance(20))), ...key].filter(() => !random.chance(stray));
  const shape = (): object => ({ table: some(table, [...tableNames, ...nastyTexts]).toWellFormed(), fingerprint: text(fingerprints.get(table) ?? '') });
  const comparison = (): object => {
    const name = column();
    return { column: name, operator: some(1 + random.below(6), [0, 99]), value: value(name) };
  };
  const hint: Hint = (field, _, depth) => {
    switch (field.name) {
      case 'operations':
        if (field.fieldKind !== 'list' || field.listKind !== 'message') return undefined;
        return Array.from({ length: some(random.pick([1, 1, 2, 3]), [0]) }, () => likelyMessage(field.message, random, hint, depth + 1));
      case 'aggregations':
        if (field.fieldKind !== 'list' || field.listKind !== 'message') return undefined;
        return Array.from({ length: some(1 + random.below(3), [0, 17]) }, () => randomMessage(field.message, random, hint, depth + 1));
      case 'keyspace':
        return text('shop');
      case 'table':
        return field.fieldKind === 'message' ? shape() : some(table, [...tableNames, ...nastyTexts]).toWellFormed();
      case 'tables':
        if (field.fieldKind !== 'list') return undefined;
        return field.listKind === 'message' ? some([shape()], [[], [shape(), shape()]]) : some([table], [[], ...nastyTexts.map((name) => [name.toWellFormed()])]);
      case 'key':
        return { values: values(key) };
      case 'keys':
        return Array.from({ length: random.chance(97) ? 1 + random.size(5) : 70 }, () => ({ values: values(key) }));
      case 'after':
        return random.chance(20) ? undefined : { values: values(order) };
      case 'order_by':
        return order.map((name) => ({ column: name, descending: random.chance(50) }));
      case 'row':
        // All columns at once hardly ever fit.
        return named(random.chance(10) ? [...key, ...others] : random.chance(80) ? [...new Set([...key, ...others.slice(0, 1), random.pick(others)])] : several());
      case 'set':
        return named(several().filter((name) => random.chance(stray) || (!key.includes(name) && name !== 'amount')));
      case 'add':
        return random.chance(70) || !others.includes('amount') ? undefined : named(['amount']);
      case 'columns':
      case 'returning':
        return several();
      case 'column':
      case 'sum':
      case 'min':
      case 'max':
        return field.fieldKind === 'scalar' ? column() : undefined;
      case 'group_by':
        return some(random.pick(['', column()]), nastyTexts).toWellFormed();
      case 'filter':
      case 'precondition':
        return field.fieldKind === 'message' && random.chance(70) ? { kind: { case: 'compare', value: comparison() } } : undefined;
      case 'compare':
        return comparison();
      case 'limit':
        return some(1 + random.below(10), [0, -1, -2, 2 ** 31 - 1]);
      case 'max_bytes':
      case 'max_answer_bytes':
        return some(random.pick([10_000n, 10_000n, 1n]), strays);
      case 'answer_form':
        return some(1 + random.below(6), [0, 99]);
      case 'connections':
        return some(random.below(3), [-1, 2 ** 31 - 1]);
      case 'after_attempt':
      case 'after_number':
      case 'until':
        return some(BigInt(random.below(3)), strays);
      case 'caller':
        return text(random.pick(['', 'me']));
      case 'id':
        return text(random.pick(['id-1', 'id-2']));
      case 'digest':
        return text(random.pick(['d', 'e']));
      case 'name':
        return text(random.pick(['a', 'b']));
      case 'call':
        return text('call');
      default:
        return undefined;
    }
  };
  return hint;
}

const framed = (message: Buffer): Buffer => {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(Math.min(message.length, 0xffff));
  return Buffer.concat([length, message.subarray(0, 0xffff)]);
};

/** A transaction's requests, each behind its length. */
function conversation(random: Random): Buffer {
  const hint = hintOf(random);
  const one = (kind: object, lock = 0): Buffer => framed(Buffer.from(toBinary(transact.input, create(transact.input, { kind, lock } as never))));
  const inner = (name: string): DescMessage => {
    const field = transact.input.fields.find(({ localName }) => localName === name);
    if (field?.fieldKind !== 'message') throw new Error(`a transaction has no ${name}`);
    return field.message;
  };
  const step = (name: string): Buffer => one({ case: name, value: likelyMessage(inner(name), random, hint) }, random.pick([0, 0, 0, 1, 2, 3]));
  const begun = random.chance(95)
    ? [one({ case: 'begin', value: { ...randomMessage(inner('begin'), random, hint), keyspace: 'shop', ...(random.chance(80) ? { readOnly: false } : {}) } })]
    : [];
  const names = ['get', 'batchGet', 'query', 'aggregate', 'write', 'write', 'write', 'savepoint', 'rollBackTo', 'begin'];
  const steps = Array.from({ length: random.size(8) }, () => step(random.pick(names)));
  return Buffer.concat([...begun, ...steps, ...(random.chance(50) ? [step('commit')] : []), ...(random.chance(10) ? [step(random.pick(names))] : [])]);
}

/** A path's beginning and its body, behind the path's length. */
function overPath(random: Random, method: DescMethod): Buffer {
  const verb = `:${method.localName}`;
  const nasty = random.pick(nastyTexts).toWellFormed();
  const path = random.pick([
    `/store/v1/keyspaces/${encodeURIComponent(nasty)}/data${verb}`,
    `/store/v1/keyspaces/${random.pick(['%', '%zz', '%ff', '%00', '', '..', 'shop/x', 'shop?x=y', '%E2%82'])}/data${verb}`,
    `/store/v1/keyspaces/shop/data:${encodeURIComponent(nasty)}`,
    `/${encodeURIComponent(nasty)}`,
    '/store/v1/calls:cancel',
  ]);
  return Buffer.concat([Buffer.from([path.length]), Buffer.from(path.slice(0, 255)), Buffer.from(jsonOf(random, method))]);
}

function jsonOf(random: Random, method: DescMethod): string {
  const bytes = likelyBytes(method.input, random);
  return toJsonString(method.input, fromBinary(method.input, new Uint8Array(bytes)));
}

type Handler = (request: unknown, context: object) => unknown;

/** What a peer's gateways ask of the stores here, over gRPC and HTTP, from the request's bytes to the answer's, over a SQLite file. The first byte chooses the method, the second the way. */
export const target: FuzzTarget = {
  name: 'peer-store',
  words: [...tableNames, ...columnNames, 'shop', '"keyspace":', '"int64Value":"1"', '\x0a', '\x12', '\x1a', '\x08\x01', '\xff\xff\xff\xff\x0f'],
  changedPercent: 25,
  generate: (random) => {
    // What changes rows has more to it than the others.
    const at = random.chance(50) ? methods.indexOf(random.pick([transact, ...writing])) : random.below(methods.length);
    const method = methods[at] as DescMethod;
    const way = random.below(ways.length);
    const head = Buffer.from([at, way]);
    if (method === transact) return Buffer.concat([head, conversation(random)]);
    if (ways[way] === 'path') return Buffer.concat([head, overPath(random, method)]);
    return Buffer.concat([head, ways[way] === 'json' ? Buffer.from(jsonOf(random, method)) : likelyBytes(method.input, random)]);
  },
  open: async () => {
    await using stack = new AsyncDisposableStack();
    const file = stack.use(await ShopFile.create());
    await file.install('shop');
    const open = { count: 0 };
    const options = { env: { SECRET: peer.secret }, process: 'gateway "fuzz"' };
    const stores = stack.use(
      new Stores({
        ...options,
        backends: new Map([['sqlite', askedBackend(open)]]),
        clock: systemClock,
        log: createLogger('fuzz', 'silent'),
        poolSize: 2,
        acquireTimeoutMs: 5_000,
        applicationName: 'fuzz',
      }),
    );
    await stores.apply([{ name: 'shop', shards: [{ kind: 'sqlite', path: file.path }] }]);
    for (const { table } of shopShapes)
      fingerprints.set(table, await stores.use('shop', async (store) => (await store.describe(table, AbortSignal.timeout(limitMs)))?.fingerprint ?? ''));
    const access = await PeerAccess.open([{ name: peer.name, gateway: 'env:SECRET' }], options);
    const clock: Clock = { ...systemClock, after: (ms, act) => systemClock.after(ms * silenceFactor, act) };
    const services = peerServices(stores, access, clock);
    let fault: unknown = null;
    const onFault = (_: string, error: unknown): void => {
      fault = error;
    };
    const door = await servePeerServices(services, access, { host: '127.0.0.1', port: 0 }, { clock: systemClock, onFault });
    stack.defer(() => door.close(0));
    const handlers = { ...services.data, ...services.calls } as unknown as Readonly<Record<string, Handler>>;
    const database = stack.use(file.connect());
    file.reset(database);
    file.seal();
    const resting = file.rowsOf(database);
    const version = (): unknown => database.prepare('PRAGMA data_version').get()?.data_version;
    let seen = version();
    /** A finding: rows have changed though the call had no right to change them. */
    const checkRows = (mayChange: boolean, outcome: string): void => {
      if (open.count !== 0) throw new Finding('state', `${open.count} transactions are open behind a call that has ended`);
      const now = version();
      if (now === seen) return;
      if (!mayChange && file.rowsOf(database) !== resting) throw new Finding('state', `rows have changed by a call that was answered with ${outcome}`);
      file.reset(database);
      seen = version();
    };

    const overBytes = async (method: DescMethod, way: Way, bytes: Buffer): Promise<string> => {
      const ending = new AbortController();
      const timer = setTimeout(() => ending.abort(new SwitchyardError('DEADLINE_EXCEEDED', "the call's deadline passed")), limitMs);
      const leave = (): void => ending.abort(new SwitchyardError('CANCELLED', 'the caller cancelled the call'));
      if (way === 'gone') leave();
      if (way === 'leaving') setImmediate(leave);
      const metadata = new Metadata();
      metadata.set(PEER_KEY, peer.name);
      metadata.set(AUTHORIZATION_KEY, `Bearer ${way === 'stranger' ? 'another' : peer.secret}`);
      const context = { signal: ending.signal, deadline: systemClock.monotonic() + limitMs, metadata };
      const handler = handlers[method.localName] as Handler;
      let committed = false;
      const outcome = await outcomeOf(async () => {
        try {
          if (method === transact) {
            const steps = stepsOf(bytes, way, ending.signal);
            for await (const answer of handler(steps.requests, context) as AsyncIterable<object>) committed ||= answeredBy(answer, steps.last());
          } else {
            const answered = handler(decoded(method, bytes), context) as Promise<object>;
            toBinary(method.output, create(method.output, (await answered) as never));
          }
        } catch (error) {
          if (error instanceof Error) must(error.message.length < longestMessage, `a message of ${error.message.length} characters`);
          toGrpcError(error);
          throw error;
        } finally {
          clearTimeout(timer);
        }
      });
      if (outcome === 'DEADLINE_EXCEEDED') throw new Finding('slow', `no answer within ${limitMs} ms`);
      checkRows(outcome === 'OUTCOME_UNKNOWN' || committed || (outcome === 'value' && writing.includes(method)), outcome);
      return outcome;
    };

    const overHttp = async (method: DescMethod, path: string, body: Buffer): Promise<string> => {
      fault = null;
      const { status, type, text } = await posted(door.address, path, body);
      if (fault instanceof Finding) throw fault;
      must(fault === null, `a fault: ${String(fault)}`);
      if (status !== 200) judge({ status, headers: new Map([['content-type', type]]), body: Buffer.from(text) });
      else if (path.endsWith(`:${method.localName}`)) fromJsonString(method.output, text);
      const outcome = status === 200 ? 'value' : String((JSON.parse(text) as { readonly reason?: unknown }).reason);
      must(outcome === 'value' || isReason(outcome), `${status} with ${outcome}`);
      checkRows(status === 200 && writing.includes(method), outcome);
      return outcome;
    };

    const running = stack.move();
    return {
      run: async (input) => {
        const method = methods[(input[0] ?? 0) % methods.length] as DescMethod;
        const way = ways[(input[1] ?? 0) % ways.length] as Way;
        const rest = input.subarray(2);
        if (way === 'json' && method !== transact) {
          const path = method.parent === CallService ? '/store/v1/calls:cancel' : `/store/v1/keyspaces/shop/data:${method.localName}`;
          return `${method.name} over HTTP: ${await overHttp(method, path, rest)}`;
        }
        if (way === 'path' && method !== transact) {
          const end = 1 + (rest[0] ?? 0);
          // What Node's client does not send.
          const path = `/${rest
            .subarray(1, end)
            .toString('latin1')
            .replaceAll(/[^!-~]/g, '')
            .replace(/^\/+/, '')}`;
          return `a path: ${await overHttp(method, path, rest.subarray(end))}`;
        }
        return `${method.name}: ${await overBytes(method, way, rest)}`;
      },
      check: async () => file.checkUntouched(),
      [Symbol.asyncDispose]: () => running.disposeAsync(),
    };
  },
};

/** As the server reads a message. */
function decoded(method: DescMethod, bytes: Buffer): object {
  try {
    return fromBinary(method.input, new Uint8Array(bytes));
  } catch (cause) {
    throw new SwitchyardError('ARGUMENT_INVALID', `the request's bytes are no ${method.input.typeName}`, { cause });
  }
}

/** The requests of a transaction, one after the other. A caller that comes another way than by bytes says nothing more at the end, instead of ending the stream. */
function stepsOf(bytes: Buffer, way: Way, signal: AbortSignal): { readonly requests: AsyncIterable<TransactRequest>; readonly last: () => TransactRequest['kind'] } {
  let last: TransactRequest['kind'] = { case: undefined };
  async function* requests(): AsyncGenerator<TransactRequest> {
    for (let at = 0; at + 2 <= bytes.length; ) {
      const end = at + 2 + bytes.readUInt16BE(at);
      const request = decoded(transact, bytes.subarray(at + 2, end)) as TransactRequest;
      last = request.kind;
      yield request;
      at = end;
    }
    if (way === 'bytes' || signal.aborted) return;
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
      setTimeout(resolve, 2_000).unref();
    });
  }
  return { requests: requests(), last: () => last };
}

/** Whether the answer says that the transaction has committed, or may have. A finding: it carries a failure without a reason, or is of another keyspace. */
function answeredBy(answer: object, asked: TransactRequest['kind']): boolean {
  const { kind } = fromBinary(TransactResponseSchema, toBinary(TransactResponseSchema, create(TransactResponseSchema, answer as TransactResponse)));
  must(kind.case !== undefined, 'an answer that says nothing');
  if (kind.case !== 'error') {
    const keyspace = asked.value !== undefined && 'keyspace' in asked.value ? asked.value.keyspace : '';
    must(keyspace === '' || keyspace === 'shop', `a step in keyspace "${keyspace}" is answered from another`);
    return kind.case === 'done' && asked.case === 'commit';
  }
  const info = kind.value.details.find(({ typeUrl }) => typeUrl.endsWith(`/${ErrorInfoSchema.typeName}`));
  must(info !== undefined, 'a failed step without ErrorInfo');
  const { reason } = fromBinary(ErrorInfoSchema, info.value);
  must(isReason(reason), `the reason ${reason} is not in the catalogue`);
  return reasonOf(new SwitchyardError(reason, kind.value.message)) === 'OUTCOME_UNKNOWN';
}

function posted(address: string, path: string, body: Buffer): Promise<{ readonly status: number; readonly type: string; readonly text: string }> {
  const { hostname, port } = new URL(`http://${address}`);
  const headers = { [PEER_KEY]: peer.name, [AUTHORIZATION_KEY]: `Bearer ${peer.secret}`, 'content-type': 'application/json' };
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; type: string; text: string }>();
  const call = httpRequest({ hostname, port, path, method: 'POST', headers, signal: AbortSignal.timeout(limitMs) }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('error', reject);
    response.on('end', () => resolve({ status: response.statusCode ?? 0, type: String(response.headers['content-type'] ?? ''), text: Buffer.concat(chunks).toString() }));
  });
  call.on('error', (cause) => reject(new Finding('hang', `no whole answer over HTTP: ${cause.message}`, cause)));
  call.end(body);
  return promise;
}
