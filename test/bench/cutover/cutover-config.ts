import { allStoreKinds, type StoreKind } from '../../support/cluster/store.ts';
import { type TopologyServerKind, topologyServerKinds } from '../../support/servers/topology-server.ts';
import type { BenchOption } from '../bench.ts';

/** The safeguards that a test build can take away. */
export const safeguards = ['fence', 'read-fence', 'token', 'marker', 'request-id', 'tombstone'] as const;
export type Safeguard = (typeof safeguards)[number];
/** Those whose absence this bench shows: it never ends a move. */
export const benchSafeguards = safeguards.filter((safeguard) => safeguard !== 'tombstone');
export const doors = ['rpc', 'consul'] as const;
export type DoorName = (typeof doors)[number];

export interface CutoverConfig {
  /** Kinds of the stores that the tables are in and move to, and of what holds the rules. */
  readonly source: StoreKind;
  readonly target: StoreKind;
  readonly topology: TopologyServerKind;
  /** Half of the calls go over HTTP. */
  readonly http: boolean;
  readonly scale: number;
  /** Switches; as many reverses follow, one after each. */
  readonly cutovers: number;
  /** Rows written: a transaction counts as four. */
  readonly writesPerSecond: number;
  /** Rows read: a query counts as five or ten. */
  readonly readsPerSecond: number;
  readonly gateways: number;
  readonly controls: number;
  readonly secondsBetween: number;
  /** Seconds in which the load grows to its rates: compilers have to get warm, in a gateway as in the clients. */
  readonly rampS: number;
  /** Seconds between the ramp's end and the move. */
  readonly fullLoadS: number;
  /** The load begins when the tables are copied and compared, not before. */
  readonly copyFirst: boolean;
  readonly workload: Workload;
  readonly deadlineMs: number;
  /** Stores wait for the disk at every commit. */
  readonly durable: boolean;
  readonly door: DoorName;
  /** During the whole load connections of the gateways to their stores are cut, in COMMIT too; clients repeat what was refused. */
  readonly killConnections: boolean;
  /** Every write has a request id; where connections are cut, clients then repeat those of unknown outcome too. */
  readonly requestIds: boolean;
  /** The safeguard that the test build lacks. */
  readonly broken: Safeguard | null;
  /** The disturbance under which that safeguard is needed; goes with `broken` and can be had without. */
  readonly disturbance: Safeguard | null;
  readonly seed: number;
  readonly logDirectory: string | null;
  readonly recordFile: string | null;
}

const workloads = ['counted', 'full'] as const;
export type Workload = (typeof workloads)[number];

/** A whole run, and the form for CI; what is given beats both. */
const sizes = {
  whole: { scale: 10, cutovers: 5, writes: 1_000, reads: 1_000, gateways: 3, controls: 2, secondsBetween: 5, rampS: 40, fullLoadS: 10, deadlineMs: 10_000, seed: 1 },
  short: { scale: 1, cutovers: 1, writes: 200, reads: 200, gateways: 3, controls: 2, secondsBetween: 3, rampS: 3, fullLoadS: 1, deadlineMs: 10_000, seed: 1 },
} as const;
const { whole } = sizes;

export const cutoverOptions: readonly BenchOption[] = [
  { flags: '--source <kind>', summary: 'the store that the tables are in', default: 'postgres', choices: allStoreKinds },
  { flags: '--target <kind>', summary: 'the store that they move to', default: 'postgres', choices: allStoreKinds },
  { flags: '--topo <kind>', summary: 'what holds the rules', default: 'consul', choices: topologyServerKinds },
  {
    flags: '--workload <kind>',
    summary: '"full": beside the counted load every other kind of call: transactions, watches, streams, pages, sums',
    default: 'counted',
    choices: workloads,
  },
  { flags: '--http', summary: 'half of the calls go as JSON over HTTP' },
  { flags: '--scale <n>', summary: "pgbench's scale factor: 100,000 accounts each", default: whole.scale },
  { flags: '--cutovers <n>', summary: 'switches, each followed by a reverse', default: whole.cutovers },
  { flags: '--writes <n>', summary: 'rows written a second: a transaction counts as four', default: whole.writes },
  { flags: '--reads <n>', summary: 'rows read a second: a query counts as five or ten', default: whole.reads },
  { flags: '--gateways <n>', summary: 'gateway processes', default: whole.gateways },
  { flags: '--controls <n>', summary: 'control processes', default: whole.controls },
  { flags: '--seconds-between <n>', summary: 'seconds of load between two cutovers', default: whole.secondsBetween },
  { flags: '--ramp-s <n>', summary: 'seconds in which the load grows to its rates, before the tables are copied', default: whole.rampS },
  { flags: '--copy-first', summary: 'the load begins when the tables are copied and compared: for what is about the cutover alone' },
  { flags: '--deadline-ms <n>', summary: 'deadline of every call', default: whole.deadlineMs },
  { flags: '--short', summary: 'for CI: scale 1, 200 writes and reads a second, one switch and one reverse' },
  { flags: '--no-durable', summary: 'stores do not wait for the disk at a commit' },
  { flags: '--door <door>', summary: "how the flips are ordered: control's RPC, or movement.want by consul kv put -cas", default: 'rpc', choices: doors },
  { flags: '--kill-connections', summary: "cut the gateways' connections to PostgreSQL during the whole load, in COMMIT too; writes have request ids" },
  { flags: '--request-ids', summary: 'every write has a request id', default: 'with --kill-connections' },
  { flags: '--no-request-ids', summary: 'no write has one: with --kill-connections some outcomes stay unknown, and must be told so' },
  { flags: '--break <safeguard>', summary: 'a test build without this safeguard, under the disturbance that it is there for: must be caught', choices: benchSafeguards },
  { flags: '--disturb <safeguard>', summary: 'the disturbance alone, with the product as it is: must be clean', choices: benchSafeguards },
  { flags: '--seed <n>', summary: "seed of the clients' choices", default: whole.seed },
  { flags: '--record <path>', summary: "keep the clients' whole record here, as v8.serialize writes it" },
  { flags: '--log-directory <path>', summary: "keep every process's log here" },
];

const oneOf = <T extends string>(all: readonly T[], value: unknown): T | null => all.find((known) => known === value) ?? null;

export function cutoverConfig(options: Readonly<Record<string, unknown>>): CutoverConfig {
  const size = options.short === true ? sizes.short : whole;
  const number = (name: keyof typeof whole): number => Number(options[name] ?? size[name]);
  const broken = oneOf(safeguards, options.break);
  const disturbance = broken ?? oneOf(safeguards, options.disturb);
  const killConnections = options.killConnections === true || disturbance === 'request-id';
  const [source, target] = [oneOf(allStoreKinds, options.source) ?? 'postgres', oneOf(allStoreKinds, options.target) ?? 'postgres'];
  if (killConnections && source !== 'postgres' && target !== 'postgres') throw new Error('--kill-connections needs a store with connections: give --source or --target postgres');
  return {
    source,
    target,
    topology: oneOf(topologyServerKinds, options.topo) ?? 'consul',
    workload: oneOf(workloads, options.workload) ?? 'counted',
    http: options.http === true,
    scale: number('scale'),
    cutovers: number('cutovers'),
    writesPerSecond: number('writes'),
    readsPerSecond: number('reads'),
    gateways: number('gateways'),
    controls: number('controls'),
    secondsBetween: number('secondsBetween'),
    rampS: number('rampS'),
    fullLoadS: size.fullLoadS,
    copyFirst: options.copyFirst === true,
    deadlineMs: number('deadlineMs'),
    durable: options.durable !== false,
    door: oneOf(doors, options.door) ?? 'rpc',
    killConnections,
    requestIds: typeof options.requestIds === 'boolean' ? options.requestIds : killConnections,
    broken,
    disturbance,
    seed: number('seed'),
    logDirectory: typeof options.logDirectory === 'string' ? options.logDirectory : null,
    recordFile: typeof options.record === 'string' ? options.record : null,
  };
}
