import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, ClusterOptions } from '../../support/cluster/cluster.ts';
import type { CutoverConfig, Safeguard } from './cutover-config.ts';

const testControl = fileURLToPath(new URL('../broken/control-main.ts', import.meta.url));
const brokenStatements = new URL('../broken/broken-statements.ts', import.meta.url).href;
/** How long a cut-off gateway stays so after the cutover was answered: what it still believes must not matter. */
const stillAwayMs = 1_500;

/** What goes wrong around the cutovers of a run, and which control processes it is run with. */
export interface Disturbance extends AsyncDisposable {
  readonly needsConsulProxies: boolean;
  readonly readOnlyGateways: readonly number[];
  readonly processes: Pick<ClusterOptions, 'controlMain' | 'controlArguments' | 'moreEnv'>;
  /** The workflow's; null: the product's default. */
  readonly holdBudgetMs: number | null;
  attach(cluster: Cluster): void;
  /** Once, when the workflow runs and before the first cutover. */
  prepare(): Promise<void>;
  /** Right before a cutover is ordered. */
  begin(): Promise<void>;
  /** Right after its answer. */
  end(): Promise<void>;
}

const undisturbed: Disturbance = {
  needsConsulProxies: false,
  readOnlyGateways: [],
  processes: {},
  holdBudgetMs: null,
  attach: () => {},
  prepare: async () => {},
  begin: async () => {},
  end: async () => {},
  [Symbol.asyncDispose]: async () => {},
};

/** Gateway 1 is cut off from Consul around every cutover: it goes on by rules that are no longer true. */
class CutOffGateway implements Disturbance {
  readonly needsConsulProxies = true;
  readonly readOnlyGateways: readonly number[];
  readonly processes: Disturbance['processes'];
  /** The test build's coordinator is slow in mid-hold: the longest that there is. */
  readonly holdBudgetMs = 1_000;
  #cluster: Cluster | null = null;

  constructor(readOnly: boolean, processes: Disturbance['processes']) {
    this.readOnlyGateways = readOnly ? [0] : [];
    this.processes = processes;
  }

  attach(cluster: Cluster): void {
    this.#cluster = cluster;
  }

  async prepare(): Promise<void> {}

  async begin(): Promise<void> {
    this.#proxy.freeze();
  }

  async end(): Promise<void> {
    await sleep(stillAwayMs);
    this.#proxy.thaw();
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  get #proxy(): { freeze(): void; thaw(): void } {
    const proxy = this.#cluster?.gateways[0]?.consulProxy;
    if (proxy === null || proxy === undefined) throw new Error('gateway 1 has no relay to Consul');
    return proxy;
  }
}

const argumentsFor = (disturbance: Safeguard, broken: Safeguard | null): readonly string[] => ['--disturb', disturbance, ...(broken === null ? [] : ['--break', broken])];

/**
 * The disturbance under which a safeguard shows: fence and read-fence, a gateway that Consul cannot reach (the latter with a slow way back); token, a forgotten player that comes back after the switch with what it had in hand; marker, a player that is slow
 * during the hold while that gateway writes on; request-id, connections that are cut (`ConnectionCuts`, for the whole load). What control does for them is in its test build, whose stores are the product's own unless `broken`; SQLite's and MariaDB's are broken in the gateways too.
 */
export function disturbanceOf({ disturbance, broken }: Pick<CutoverConfig, 'disturbance' | 'broken'>): Disturbance {
  const altered = disturbance === null ? {} : { controlMain: testControl, controlArguments: argumentsFor(disturbance, broken) };
  const processes = broken === null ? altered : { ...altered, moreEnv: { SWITCHYARD_TEST_BREAK: broken, NODE_OPTIONS: `--import=${brokenStatements}` } };
  switch (disturbance) {
    case null:
      return undisturbed;
    case 'fence':
    case 'marker':
      return new CutOffGateway(false, processes);
    case 'read-fence':
      return new CutOffGateway(true, processes);
    case 'token':
    case 'request-id':
    case 'tombstone':
      return { ...undisturbed, processes };
  }
}
