import type { RunKind } from './entry.ts';

/** What the figures of several entries of one subject come to: their sum, the largest of them, or the newest. */
export type Way = 'sum' | 'worst' | 'latest';

/** Of a fault run counts are added; a time, and the machine's slowness, say something at their worst only. */
const isWorstCase = (figure: string): boolean => figure.endsWith('Ms') || figure === 'slowdown';

const ways: Readonly<Record<RunKind, (figure: string) => Way>> = {
  // A second search sees the states of the first one again.
  model: () => 'latest',
  simulation: () => 'sum',
  fault: (figure) => (isWorstCase(figure) ? 'worst' : 'sum'),
};

export const wayOf = (kind: RunKind, figure: string): Way => ways[kind](figure);

/** What `value` makes of what earlier entries came to. */
export function joined(way: Way, earlier: number | undefined, value: number): number {
  if (earlier === undefined || way === 'latest') return value;
  return way === 'sum' ? earlier + value : Math.max(earlier, value);
}
