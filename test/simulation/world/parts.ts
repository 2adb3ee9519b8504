import type { Backend } from '../../../backends/backend.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { openKvTopology } from '../../../topo/kv-topology.ts';
import type { Topology } from '../../../topo/topology.ts';
import { SimKvClient } from '../consul/consul-client.ts';
import type { ConsulServer } from '../consul/consul-server.ts';
import type { AnyConnection } from '../kernel/connection.ts';
import type { Network } from '../kernel/network.ts';
import { SimProcess } from '../kernel/process.ts';
import type { Random } from '../kernel/random.ts';
import type { Scheduler } from '../kernel/scheduler.ts';
import { simulatedBackend } from '../store/backend.ts';
import type { StoreServer } from '../store/server.ts';
import type { Journal } from './journal.ts';

export interface StartedProcess {
  readonly process: SimProcess;
  readonly topology: Topology;
  readonly backend: Backend;
  readonly log: Logger;
  readonly newId: () => string;
}

export interface ProcessPartsOptions {
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly random: Random;
  readonly consul: ConsulServer;
  readonly stores: ReadonlyMap<string, StoreServer>;
  readonly journal: Journal;
  readonly isTalkative: boolean;
}

/** What every process of ours is given, and how one dies. */
export class ProcessParts {
  readonly env = { SECRET: 'secret' };
  readonly #options: ProcessPartsOptions;
  #started = 0;

  constructor(options: ProcessPartsOptions) {
    this.#options = options;
  }

  /** A new process at this place, with the ports that it works over. */
  start(place: string): StartedProcess {
    const { scheduler, network, consul, stores, journal, isTalkative } = this.#options;
    this.#started += 1;
    const random = this.#options.random.fork(`${place} ${this.#started}`);
    const process = new SimProcess(place, scheduler, random.fork('process'));
    const log = journal.logger(place, isTalkative);
    const nonces = random.fork('nonces');
    const newNonce = (): string => nonces.id();
    const client = new SimKvClient(process, consul, network, scheduler);
    const topology = openKvTopology(client, { cluster: 'sim', clock: process.clock, newNonce, onBackgroundError: (error) => log.warn({ err: error }, 'Consul') });
    return { process, topology, backend: simulatedBackend(process, stores, network, scheduler), log, newId: newNonce };
  }

  /** Ends a process as SIGKILL does: those that are connected to it hear of it, and those that it was connected to. */
  kill(process: SimProcess, connections: ReadonlySet<AnyConnection>): void {
    process.kill();
    for (const connection of [...connections]) connection.break();
    const hosts: readonly { readonly connections: ReadonlySet<AnyConnection> }[] = [...this.#options.stores.values(), this.#options.consul];
    for (const host of hosts) for (const connection of [...host.connections]) if (connection.isOrphaned) connection.drop();
  }
}
