import { randomUUID } from 'node:crypto';
import type { Backend } from '../../../backends/backend.ts';
import { RunningStreams } from '../../../control/streams/move-streams.ts';
import { type ArmedMove, type ControlDeps, type Move, type SideName, streamFrom } from '../../../control/move.ts';
import { type OpenedMove, Stores } from '../../../control/stores.ts';
import { claimTables } from '../../../control/workflow/claims.ts';
import { preparationSteps, prepareStep } from '../../../control/workflow/preparation.ts';
import type { ServerShard } from '../../../core/keyspace.ts';
import type { RulesDocument } from '../../../core/rules-document.ts';
import { type CutoverLimits, cutoverLimitsSchema, type WorkflowDocument } from '../../../core/workflow-document.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { openConsulTopology } from '../../../topo/consul-topology.ts';
import type { Topology } from '../../../topo/topology.ts';
import { FreezableProxy } from '../cluster/freezable-proxy.ts';
import { type ConsulServer, startConsul } from '../servers/consul.ts';
import { type PostgresServer, startPostgres } from '../servers/postgres.ts';
import { createShop, SHOP_LOGINS } from '../servers/shop.ts';
import { waitUntil } from '../servers/wait-until.ts';

const never = new AbortController().signal;
const LOG_LEVEL = process.env.SWITCHYARD_TEST_LOG === undefined ? 'silent' : 'debug';
const ENV = { OWNER: SHOP_LOGINS.owner.password, PLAYER: SHOP_LOGINS.player.password, GATEWAY: SHOP_LOGINS.gateway.password };

/** Two PostgreSQL servers and a Consul agent, with control's own parts on top: what cutovers of any number of moves run on. */
export class CutoverStage implements AsyncDisposable {
  readonly servers: Readonly<Record<SideName, PostgresServer>>;
  /** Between control and each server; psql goes past them. */
  readonly proxies: Readonly<Record<SideName, FreezableProxy>>;
  readonly consul: ConsulServer;
  readonly topology: Topology;
  readonly deps: ControlDeps;
  readonly #backend: Backend;
  readonly #stores: Stores;
  #moves = 0;

  private constructor(servers: CutoverStage['servers'], proxies: CutoverStage['proxies'], consul: ConsulServer, topology: Topology, backend: Backend) {
    this.servers = servers;
    this.proxies = proxies;
    this.consul = consul;
    this.topology = topology;
    this.#backend = backend;
    const log = createLogger('test', LOG_LEVEL);
    this.deps = { topology, clock: systemClock, log, newId: () => randomUUID(), controlId: 'control-1' };
    this.#stores = new Stores({
      topology,
      controlId: 'control-1',
      clock: systemClock,
      backends: new Map([[backend.kind, backend]]),
      env: ENV,
      log,
      poolSize: 8,
      acquireTimeoutMs: 2_000,
    });
  }

  static async open(backend: Backend): Promise<CutoverStage> {
    const [source, target, consul] = await Promise.all([startPostgres({ name: 'source' }), startPostgres({ name: 'target' }), startConsul()]);
    await Promise.all([createShop(source, { tables: false }), createShop(target, { tables: false })]);
    const proxies = { source: await FreezableProxy.start(source), target: await FreezableProxy.start(target) };
    const topology = openConsulTopology({ address: consul.address, cluster: 'test', clock: systemClock, newNonce: () => randomUUID() });
    await topology.initialRules({ by: 'test', reason: 'first' }, 'old', never);
    const stage = new CutoverStage({ source, target }, proxies, consul, topology, backend);
    for (const [side, name] of [
      ['source', 'old'],
      ['target', 'new'],
    ] as const) {
      await topology.putKeyspace({ name, shards: [stage.shard(side)] }, never);
      await stage.servers[side].psql('shop', backend.grantScript(stage.shard(side), []));
    }
    return stage;
  }

  shard(side: SideName): ServerShard {
    const login = (name: keyof typeof SHOP_LOGINS, variable: string): ServerShard['owner'] => ({ user: SHOP_LOGINS[name].user, password: `env:${variable}` });
    return {
      kind: this.#backend.kind,
      host: '127.0.0.1',
      port: this.proxies[side].port,
      database: 'shop',
      gateway: login('gateway', 'GATEWAY'),
      player: login('player', 'PLAYER'),
      owner: login('owner', 'OWNER'),
    };
  }

  /** A move of two tables of its own with some rows, copied, verified and followed: ready for its cutover. `partitioned`: the second one is. */
  async arm(limits: Partial<CutoverLimits> = {}, partitioned = false): Promise<StagedMove> {
    this.#moves += 1;
    const name = `move${this.#moves}`;
    const tables = [`orders${this.#moves}`, `lines${this.#moves}`];
    const [orders, lines] = tables;
    await this.servers.source.psql(
      'shop',
      `CREATE TABLE ${orders} (id bigserial PRIMARY KEY, note text);
       ${partitioned ? partitionedLines(orders, lines) : `CREATE TABLE ${lines} (id bigserial PRIMARY KEY, order_id bigint REFERENCES ${orders}, amount numeric(10,2));`}
       INSERT INTO ${orders} (note) SELECT 'first ' || n FROM generate_series(1, 50) n;
       INSERT INTO ${lines} (order_id, amount) SELECT n, n * 1.5 FROM generate_series(1, 50) n;`,
      { login: SHOP_LOGINS.owner },
    );
    await this.servers.source.psql('shop', this.#backend.grantScript(this.shard('source'), tables));
    const document: WorkflowDocument = {
      nonce: 'n',
      name,
      source: 'old',
      target: 'new',
      tables,
      limits: cutoverLimitsSchema.parse(limits),
      state: 'running',
      message: '',
      createdAt: new Date().toISOString(),
      journal: [],
      createdTables: [],
      progress: [],
      verification: { finishedAt: new Date().toISOString(), durationMs: 1, rowsCompared: 100, differences: 0, repaired: 0, sample: [] },
      cutovers: [],
    };
    await this.topology.updateRules(
      { by: 'test', reason: 'claim' },
      (rules) => claimTables(rules, { workflow: name, source: 'old', target: 'new', tables, bareElsewhere: new Set() }),
      never,
      [{ document, index: 0 }],
    );
    const opened = await this.#stores.openMove(document, never);
    for (const step of preparationSteps) await prepareStep({ move: opened.move, log: this.deps.log, recordCreated: async () => {}, hasEnded: async () => false }, step, never);
    await this.servers.target.psql('shop', this.#backend.grantScript(this.shard('target'), tables));
    const done = new Set<string>();
    const streams = new RunningStreams({
      move: opened.move,
      deps: this.deps,
      copies: () => true,
      share: () => document.limits,
      onProgress: (table, progress) => {
        if (progress.done) done.add(table);
      },
    });
    await streams.start('source', never);
    await waitUntil('the copy', { limitMs: 20_000 }, async () => (tables.every((table) => done.has(table)) ? true : undefined));
    return new StagedMove(this, opened, streams);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.topology[Symbol.asyncDispose]();
    await Promise.all([this.proxies.source[Symbol.asyncDispose](), this.proxies.target[Symbol.asyncDispose]()]);
    await Promise.all([this.servers.source[Symbol.asyncDispose](), this.servers.target[Symbol.asyncDispose](), this.consul[Symbol.asyncDispose]()]);
  }
}

/** By order, those of the later orders once more by their own number. */
const partitionedLines = (orders: string | undefined, lines: string | undefined): string => `
CREATE TABLE ${lines} (id bigserial, order_id bigint NOT NULL REFERENCES ${orders}, amount numeric(10,2), PRIMARY KEY (id, order_id)) PARTITION BY RANGE (order_id);
CREATE TABLE ${lines}_low PARTITION OF ${lines} FOR VALUES FROM (MINVALUE) TO (26);
CREATE TABLE ${lines}_high PARTITION OF ${lines} FOR VALUES FROM (26) TO (MAXVALUE) PARTITION BY HASH (id);
CREATE TABLE ${lines}_high_even PARTITION OF ${lines}_high FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE ${lines}_high_odd PARTITION OF ${lines}_high FOR VALUES WITH (MODULUS 2, REMAINDER 1);`;

/** One move with its stores and streams. */
export class StagedMove implements AsyncDisposable {
  readonly stage: CutoverStage;
  readonly move: Move;
  readonly streams: RunningStreams;
  readonly #opened: OpenedMove;

  constructor(stage: CutoverStage, opened: OpenedMove, streams: RunningStreams) {
    this.stage = stage;
    this.#opened = opened;
    this.move = opened.move;
    this.streams = streams;
  }

  get orders(): string {
    return this.move.tables[0] ?? '';
  }

  async document(): Promise<WorkflowDocument> {
    const stored = await this.stage.topology.workflow(this.move.name, never);
    if (stored === null) throw new Error(`${this.move.name} is gone`);
    return stored.value;
  }

  async armed(): Promise<ArmedMove> {
    return { move: this.move, document: await this.document() };
  }

  async rules(): Promise<RulesDocument> {
    const snapshot = await this.stage.topology.readRules(never);
    if (snapshot.kind !== 'valid') throw new Error(`the rules are ${snapshot.kind}`);
    return snapshot.document;
  }

  /** "OPEN(3) CLOSED(2)": source and target. */
  async fences(): Promise<string> {
    const of = async (side: SideName): Promise<string> => {
      const rows = await this.move[side].owner.fenceRows(this.move.tables, never);
      return [...new Set(rows.map((row) => `${row.state}(${row.attempt})`))].join('/');
    };
    return `${await of('source')} ${await of('target')}`;
  }

  /** Runs SQL as the gateway's login. */
  asGateway(side: SideName, sql: string): Promise<string> {
    return this.stage.servers[side].psql('shop', sql, { login: SHOP_LOGINS.gateway });
  }

  /** Writes and reads as a gateway would: on this side only. */
  async takesWrites(side: SideName): Promise<boolean> {
    return this.asGateway(side, `INSERT INTO ${this.orders} (note) VALUES ('probe') RETURNING id;`).then(
      () => true,
      () => false,
    );
  }

  async takesReads(side: SideName): Promise<boolean> {
    return this.asGateway(side, `SELECT count(*) FROM ${this.orders};`).then(
      () => true,
      () => false,
    );
  }

  /** Resolves when both stores hold the same rows. */
  async inStep(): Promise<void> {
    const rows = (side: SideName): Promise<string> => this.stage.servers[side].psql('shop', `SELECT id, note FROM ${this.orders} ORDER BY id;`);
    await waitUntil('both stores to be in step', { limitMs: 10_000, everyMs: 50 }, async () => ((await rows('source')) === (await rows('target')) ? true : undefined));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.streams[Symbol.asyncDispose]();
    // A server has slots for some twenty logs.
    for (const side of ['source', 'target'] as const) await this.move[side].owner.dropLog(streamFrom(this.move, side), null, never);
    await this.#opened[Symbol.asyncDispose]();
  }
}
