import type { BenchOption } from '../bench.ts';

/** The safeguards that a test build can take away. */
export const safeguards = ['fence', 'read-fence', 'token', 'marker'] as const;
export type Safeguard = (typeof safeguards)[number];
export const doors = ['rpc', 'consul'] as const;
export type DoorName = (typeof doors)[number];

export interface CutoverConfig {
  readonly scale: number;
  /** Switches; as many reverses follow, one after each. */
  readonly cutovers: number;
  readonly writesPerSecond: number;
  readonly readsPerSecond: number;
  readonly gateways: number;
  readonly controls: number;
  readonly secondsBetween: number;
  /** Stores wait for the disk at every commit. */
  readonly durable: boolean;
  readonly door: DoorName;
  /** The safeguard that the test build lacks. */
  readonly broken: Safeguard | null;
  /** The disturbance under which that safeguard is needed; goes with `broken` and can be had without. */
  readonly disturbance: Safeguard | null;
  readonly seed: number;
  readonly logDirectory: string | null;
  readonly recordFile: string | null;
}

export const cutoverOptions: readonly BenchOption[] = [
  { flags: '--scale <n>', summary: "pgbench's scale factor: 100,000 accounts each", default: 10 },
  { flags: '--cutovers <n>', summary: 'switches, each followed by a reverse', default: 5 },
  { flags: '--writes <n>', summary: 'writes a second', default: 1_000 },
  { flags: '--reads <n>', summary: 'reads a second', default: 1_000 },
  { flags: '--gateways <n>', summary: 'gateway processes', default: 3 },
  { flags: '--controls <n>', summary: 'control processes', default: 2 },
  { flags: '--seconds-between <n>', summary: 'seconds of load between two cutovers', default: 5 },
  { flags: '--no-durable', summary: 'stores do not wait for the disk at a commit' },
  { flags: '--door <door>', summary: "how the flips are ordered: control's RPC, or movement.want by consul kv put -cas", default: 'rpc', choices: doors },
  { flags: '--break <safeguard>', summary: 'a test build without this safeguard, under the disturbance that it is there for: must be caught', choices: safeguards },
  { flags: '--disturb <safeguard>', summary: 'the disturbance alone, with the product as it is: must be clean', choices: safeguards },
  { flags: '--short', summary: 'for CI: scale 1, 200 writes and reads a second, one switch and one reverse' },
  { flags: '--seed <n>', summary: "seed of the clients' choices", default: 1 },
  { flags: '--record <path>', summary: "keep the clients' whole record here, as v8.serialize writes it" },
  { flags: '--log-directory <path>', summary: "keep every process's log here" },
];

const oneOf = <T extends string>(all: readonly T[], value: unknown): T | null => all.find((known) => known === value) ?? null;

export function cutoverConfig(options: Readonly<Record<string, unknown>>): CutoverConfig {
  const short = options.short === true;
  const number = (name: string): number => Number(options[name]);
  const broken = oneOf(safeguards, options.break);
  return {
    scale: short ? 1 : number('scale'),
    cutovers: short ? 1 : number('cutovers'),
    writesPerSecond: short ? 200 : number('writes'),
    readsPerSecond: short ? 200 : number('reads'),
    gateways: number('gateways'),
    controls: number('controls'),
    secondsBetween: short ? 3 : number('secondsBetween'),
    durable: options.durable !== false,
    door: oneOf(doors, options.door) ?? 'rpc',
    broken,
    disturbance: broken ?? oneOf(safeguards, options.disturb),
    seed: number('seed'),
    logDirectory: typeof options.logDirectory === 'string' ? options.logDirectory : null,
    recordFile: typeof options.record === 'string' ? options.record : null,
  };
}
