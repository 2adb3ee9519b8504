import { duration, percent, thousands } from '../../cli/render/figures.ts';

/** What the picture shows; plain facts as control and the clients tell them. */
export interface Scene {
  readonly act: string;
  readonly secondsIn: number;
  readonly writesPerSecond: number;
  readonly readsPerSecond: number;
  readonly errors: number;
  readonly slowestWriteMs: number;
  readonly slowestReadMs: number;
  /** Keyspace that the rules name, null before there is a workflow. */
  readonly primary: string | null;
  readonly held: boolean;
  readonly stores: readonly { readonly name: string; readonly kind: string }[];
  readonly rowsCopied: bigint;
  readonly rowsTotal: bigint;
  readonly lagMs: number | null;
}

const barWidth = 30;

function bar(part: bigint, whole: bigint): string {
  const full = whole <= 0n ? 0 : Math.min(barWidth, Math.floor((Number(part) / Number(whole)) * barWidth));
  return `${'█'.repeat(full)}${'░'.repeat(barWidth - full)}`;
}

const servicesOf = (scene: Scene): string =>
  `services: ${scene.writesPerSecond} rows written and ${scene.readsPerSecond} read a second, ${thousands(scene.errors)} errors; slowest write ${duration(scene.slowestWriteMs)}, read ${duration(scene.slowestReadMs)}`;

const isCopying = ({ rowsCopied, rowsTotal }: Scene): boolean => rowsTotal > 0n && rowsCopied < rowsTotal;

/** The same moment in one line, for where nothing can be redrawn. */
export function lineOf(scene: Scene): string {
  const copied = isCopying(scene) ? `${percent(scene.rowsCopied, scene.rowsTotal)} copied; ` : '';
  return `  … ${copied}${servicesOf(scene)}`;
}

/** The picture of one moment, line by line. Pure, so that it can be looked at in a test. */
export function pictureOf(scene: Scene): readonly string[] {
  const { stores, held } = scene;
  const primary = scene.primary ?? stores[0]?.name;
  const arrow = held ? '──┤ writes wait' : '──▶';
  const lines = stores.map(({ name, kind }) => {
    const here = name === primary;
    return `    ${here ? `gateways ${arrow}`.padEnd(26) : ''.padEnd(26)} ${here ? '●' : '○'} ${name.padEnd(4)} ${kind}`;
  });
  const copy = isCopying(scene) ? `  copied ${bar(scene.rowsCopied, scene.rowsTotal)} ${percent(scene.rowsCopied, scene.rowsTotal)}` : '';
  const lag = scene.lagMs === null ? '' : `   the other store is ${duration(scene.lagMs)} behind`;
  return ['', `  ${scene.act}   ${scene.secondsIn.toFixed(0)} s`, `    ${servicesOf(scene)}`, ...lines, `  ${copy}${lag}`];
}
