import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { PoolStatus } from '../backends/backend.ts';
import type { BufferCounts } from './flow/buffer.ts';
import type { HoldEnd } from './flow/hold.ts';
import type { InFlight } from './flow/in-flight.ts';
import type { Routing } from './rules/routing.ts';

export interface MetricsSources {
  readonly routing: Routing;
  readonly inFlight: InFlight;
  readonly buffer: () => BufferCounts;
  readonly pools: () => ReadonlyMap<string, PoolStatus>;
}

/** What a gateway tells Prometheus. The label `table` is the key of the table's rule, or its qualified name; empty where no table was found. */
export class GatewayMetrics {
  readonly #calls: Counter<'protocol' | 'method' | 'table' | 'code' | 'reason'>;
  readonly #duration: Histogram<'method'>;
  readonly #fenced: Counter<'table' | 'operation'>;
  readonly #repeated: Counter<'protocol'>;
  readonly #waits: Histogram<string>;
  readonly #holds: Histogram<'end'>;

  constructor(registry: Registry, sources: MetricsSources) {
    const registers = [registry];
    this.#calls = new Counter({
      name: 'switchyard_gateway_calls_total',
      help: 'Calls answered, by protocol (grpc, http), method, table, code and reason.',
      labelNames: ['protocol', 'method', 'table', 'code', 'reason'],
      registers,
    });
    const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
    this.#duration = new Histogram({
      name: 'switchyard_gateway_call_duration_seconds',
      help: 'Time from the arrival of a call to its answer.',
      labelNames: ['method'],
      buckets,
      registers,
    });
    this.#fenced = new Counter({
      name: 'switchyard_gateway_fence_rejections_total',
      help: "Calls that a store's fence rejected; each was routed again.",
      labelNames: ['table', 'operation'],
      registers,
    });
    this.#repeated = new Counter({
      name: 'switchyard_gateway_repeated_writes_total',
      help: 'Writes with a request id that had been done before and were answered with their first result.',
      labelNames: ['protocol'],
      registers,
    });
    this.#waits = new Histogram({ name: 'switchyard_gateway_held_wait_seconds', help: 'Time that a write waited in the buffer.', buckets, registers });
    this.#holds = new Histogram({ name: 'switchyard_gateway_hold_duration_seconds', help: 'Duration of holds, by what ended them.', labelNames: ['end'], buckets, registers });
    observeState(registers, sources);
    observeBuffer(registers, sources.buffer);
    observePools(registers, sources.pools);
  }

  called(protocol: 'grpc' | 'http', method: string, table: string, code: string, reason: string, durationMs: number): void {
    this.#calls.inc({ protocol, method, table, code, reason });
    this.#duration.observe({ method }, durationMs / 1000);
  }

  fenced(table: string, operation: 'read' | 'write'): void {
    this.#fenced.inc({ table, operation });
  }

  repeated(protocol: 'grpc' | 'http'): void {
    this.#repeated.inc({ protocol });
  }

  waited(waitedMs: number): void {
    this.#waits.observe(waitedMs / 1000);
  }

  holdEnded(end: HoldEnd, heldMs: number): void {
    this.#holds.observe({ end }, heldMs / 1000);
  }
}

function observeState(registers: Registry[], { routing, inFlight }: MetricsSources): void {
  new Gauge({
    name: 'switchyard_gateway_rules_version',
    help: 'Version of the rules that this gateway applies; 0 before the first.',
    registers,
    collect() {
      this.set(routing.appliedVersion);
    },
  });
  new Gauge({
    name: 'switchyard_gateway_rule_problems',
    help: 'What this gateway refuses of the newest rules, by reason.',
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset();
      for (const problem of routing.problems) this.inc({ reason: problem.reason });
    },
  });
  new Gauge({
    name: 'switchyard_gateway_in_flight',
    help: 'Calls that are in a store just now.',
    registers,
    collect() {
      this.set(inFlight.total);
    },
  });
  new Gauge({
    name: 'switchyard_gateway_in_flight_oldest_version',
    help: 'Lowest rules version that a call under way was routed by; the applied one when there is none.',
    registers,
    collect() {
      this.set(inFlight.oldestVersion ?? routing.appliedVersion);
    },
  });
}

function observeBuffer(registers: Registry[], counts: () => BufferCounts): void {
  const totals = { buffered: 'Writes admitted to the buffer: the sum of drained, evicted and waiting.', drained: 'Held writes that were let go.' } as const;
  for (const [kind, help] of Object.entries(totals)) {
    new Counter({
      name: `switchyard_gateway_writes_${kind}_total`,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(counts()[kind as keyof typeof totals]);
      },
    });
  }
  for (const kind of ['evicted', 'refused'] as const) {
    new Counter({
      name: `switchyard_gateway_writes_${kind}_total`,
      help: kind === 'evicted' ? 'Held writes that were given up, by reason.' : 'Writes that the buffer did not admit, by reason.',
      labelNames: ['reason'],
      registers,
      collect() {
        this.reset();
        for (const [reason, count] of Object.entries(counts()[kind])) this.inc({ reason }, count);
      },
    });
  }
  new Gauge({
    name: 'switchyard_gateway_writes_waiting',
    help: 'Writes that are held just now.',
    registers,
    collect() {
      this.set(counts().waiting);
    },
  });
}

function observePools(registers: Registry[], pools: () => ReadonlyMap<string, PoolStatus>): void {
  new Gauge({
    name: 'switchyard_gateway_store_connections',
    help: 'Connections to a keyspace by state; callers waiting for one.',
    labelNames: ['keyspace', 'state'],
    registers,
    collect() {
      this.reset();
      for (const [keyspace, status] of pools()) {
        for (const state of ['busy', 'idle', 'waiting'] as const) this.set({ keyspace, state }, status[state]);
      }
    },
  });
}
