import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DescMessage, type DescMethod, fromBinary, toJson } from '@bufbuild/protobuf';
import { Metadata } from '@grpc/grpc-js';
import type { Backend } from '../../../backends/backend.ts';
import { backends } from '../../../backends/registry.ts';
import type { ControlDeps } from '../../../control/move.ts';
import { gatewaysService } from '../../../control/services/gateways-service.ts';
import { keyspacesService } from '../../../control/services/keyspaces-service.ts';
import { rulesService } from '../../../control/services/rules-service.ts';
import { workflowsService } from '../../../control/services/workflows-service.ts';
import { Stores } from '../../../control/stores.ts';
import { TopologyView } from '../../../control/topology-view.ts';
import { registrationSchema } from '../../../core/registration.ts';
import { rpcMethodDefinition } from '../../../core/rpc-definition.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { type WorkflowDocument, workflowStates } from '../../../core/workflow-document.ts';
import { GatewayService } from '../../../gen/switchyard/control/v1/gateways_pb.ts';
import { KeyspaceService } from '../../../gen/switchyard/control/v1/keyspaces_pb.ts';
import { RulesService } from '../../../gen/switchyard/control/v1/rules_pb.ts';
import { WorkflowService } from '../../../gen/switchyard/control/v1/workflows_pb.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { toGrpcError } from '../../../runtime/grpc-error.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { openKvTopology } from '../../../topo/kv-topology.ts';
import type { Topology } from '../../../topo/topology.ts';
import { workflowDocument } from '../../support/workflow-document.ts';
import { Finding, must } from '../target.ts';
import { reasonOf } from '../verdict.ts';
import { MemoryConsul } from './memory-consul.ts';
import { ShopFile } from './shop-file.ts';

const never = new AbortController().signal;
export const cluster = 'fuzz';
/** What nobody does here, as a workflow's runner would, is waited for so long. */
const deadlineMs = 20;
const settleMs = 10_000;
const longestMessage = 20_000;

export const controlMethods: readonly DescMethod[] = [RulesService, KeyspaceService, GatewayService, WorkflowService].flatMap((service) => [...service.methods]);

/** What says which field of a request is wrong: its name comes first, or, where a shard has fields of both forms, after what is to be done about it. */
const fieldFirst =
  /^(the request's bytes|workflow|limits|keyspace|rules|tables|keyspaces|default_?keyspace|reason|changed_?by|page_size|page_token|base_version|name|id|a store of kind .* give .*(path|host))\b/i;

type Handler = (request: never, context: object) => Promise<unknown> | AsyncIterable<unknown>;

/** The control API without its sockets: the services over a topology in memory. A SQLite file is there to be moved out of, another can be made; no server is ever reached. */
export class ControlApi implements AsyncDisposable {
  readonly consul: MemoryConsul;
  readonly topology: Topology;
  readonly file: ShopFile;
  readonly #handlers = new Map<DescMethod, Handler>();
  readonly #stack: AsyncDisposableStack;

  private constructor(consul: MemoryConsul, topology: Topology, file: ShopFile, stack: AsyncDisposableStack) {
    this.consul = consul;
    this.topology = topology;
    this.file = file;
    this.#stack = stack;
    const log = createLogger('fuzz', 'silent');
    const deps: ControlDeps = { topology, clock: systemClock, log, newId: () => randomUUID(), controlId: 'control-1' };
    const known = new Map([...backends.values()].map((backend) => [backend.kind, within(backend, new Set([file.path, this.targetPath]))]));
    const stores = new Stores({ ...deps, backends: known, env: { SHOP: 'secret' }, poolSize: 1, acquireTimeoutMs: 1_000 });
    const view = new TopologyView(topology, systemClock, log);
    const services = [
      [RulesService, rulesService(deps)],
      [KeyspaceService, keyspacesService(deps, stores, { problemOf: () => null, logLimits: { alarmBytes: null, dropBytes: null } })],
      [GatewayService, gatewaysService(deps)],
      [WorkflowService, workflowsService({ deps, stores, view })],
    ] as const;
    for (const [service, implementation] of services) {
      const handlers = implementation as unknown as Readonly<Record<string, Handler>>;
      for (const method of service.methods) this.#handlers.set(method, (handlers[method.localName] as Handler).bind(handlers));
    }
  }

  static async open(): Promise<ControlApi> {
    await using stack = new AsyncDisposableStack();
    const file = stack.use(await ShopFile.create());
    const consul = new MemoryConsul();
    const topology = stack.use(openKvTopology(consul, { cluster, clock: systemClock, newNonce: () => randomUUID() }));
    const api = new ControlApi(consul, topology, file, stack.move());
    await api.#fill();
    return api;
  }

  get targetPath(): string {
    return join(this.file.directory, 'target.db');
  }

  /** Answers a request as a server does; the reason of a refusal, or "value". Findings: what never may come of any request. Whatever it wrote into the topology stays. */
  async answer(method: DescMethod, bytes: Uint8Array): Promise<string> {
    const definition = rpcMethodDefinition(method);
    let request: unknown;
    try {
      request = definition.requestDeserialize(Buffer.from(bytes));
    } catch {
      // What the server answers then is fuzzed with the data API.
      return 'no message';
    }
    try {
      const answer = definition.responseSerialize((await this.#call(method, request)) as never);
      // The command line shows answers as JSON.
      toJson(method.output as DescMessage, fromBinary(method.output as DescMessage, answer));
      return 'value';
    } catch (error) {
      const reason = reasonOf(error);
      const { message } = error as SwitchyardError;
      must(message.length < longestMessage, `${reason} says ${message.length} characters`);
      must(!reason.endsWith('_INVALID') || reason === 'TOPOLOGY_INVALID' || fieldFirst.test(message), `${reason} names no field: ${message}`);
      toGrpcError(error);
      return reason;
    }
  }

  /** Undoes what was written into the topology. */
  restore(): void {
    this.consul.restore();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #call(method: DescMethod, request: unknown): Promise<unknown> {
    const handler = this.#handlers.get(method) as Handler;
    const ending = new AbortController();
    const end = setTimeout(() => ending.abort(new SwitchyardError('DEADLINE_EXCEEDED', "the call's deadline passed")), deadlineMs);
    const { promise: hung, reject } = Promise.withResolvers<never>();
    const hangs = setTimeout(() => reject(new Finding('hang', `${method.name} goes on after its deadline`)), settleMs);
    const context = { signal: ending.signal, deadline: systemClock.monotonic() + deadlineMs, metadata: new Metadata() };
    const first = async (): Promise<unknown> => {
      if (method.methodKind !== 'server_streaming') return handler(request as never, context);
      for await (const message of handler(request as never, context) as AsyncIterable<unknown>) return message;
      throw new Finding('answer', 'a stream without a message');
    };
    try {
      return await Promise.race([first(), hung]);
    } finally {
      clearTimeout(end);
      clearTimeout(hangs);
    }
  }

  /** Keyspaces, gateways, and a workflow in every state. */
  async #fill(): Promise<void> {
    const { topology, file } = this;
    writeFileSync(this.targetPath, '');
    await file.install('old');
    file.seal();
    const login = { user: 'shop', password: 'env:SHOP' };
    await topology.initialRules({ by: 'fuzz', reason: 'first' }, 'old', never);
    await topology.putKeyspace({ name: 'old', shards: [{ kind: 'sqlite', path: file.path }] }, never);
    await topology.putKeyspace({ name: 'new', shards: [{ kind: 'sqlite', path: this.targetPath }] }, never);
    await topology.putKeyspace({ name: 'shop', shards: [{ kind: 'postgres', host: 'db', port: 5432, database: 'shop', gateway: login, player: login, owner: login }] }, never);
    for (const state of workflowStates) {
      const document: WorkflowDocument = { ...workflowDocument(state), tables: ['item', 'line'], state };
      await topology.writeWorkflow(document, 0, never);
      if (state !== 'running') continue;
      const movement = { workflow: state, source: 'old', target: 'new', want: 'source' } as const;
      const rule = { primary: 'old', attempt: 0, writes: 'open', movement, names: ['old.line', 'new.line'] } as const;
      await topology.updateRules({ by: 'fuzz', reason: 'a move' }, (rules) => ({ ...rules, tables: { line: { ...rule, names: [...rule.names] } } }), never);
    }
    const alive = await this.consul.createSession('alive', 10_000);
    for (const [id, session] of [
      ['gateway-1', alive],
      ['gateway-2', 'gone'],
    ])
      await topology.putRegistration(registrationSchema.parse({ nonce: 'n', id, address: 'localhost:1', session, appliedVersion: 1, updatedAt: 'now', problems: [] }), never);
    this.consul.keep();
  }
}

/** The kind of store that opens these files and nothing else. */
function within(backend: Backend, paths: ReadonlySet<string>): Backend {
  const guarded =
    <O extends { readonly shard: object }, S>(open: (options: O) => S) =>
    (options: O): S => {
      const { shard } = options;
      if ('path' in shard && paths.has(String(shard.path))) return open(options);
      throw new SwitchyardError('STORE_UNAVAILABLE', 'no such store can be reached');
    };
  return { ...backend, openData: guarded(backend.openData), openReplication: guarded(backend.openReplication), openOwner: guarded(backend.openOwner) };
}
