import type { BenchContext } from '../bench.ts';
import { type Measured, measure, median } from './measure.ts';
import type { OperationName, Subject } from './subjects.ts';

export interface RoundsOptions {
  readonly rounds: number;
  /** Of one phase: one subject, operation and concurrency. */
  readonly milliseconds: number;
}

export interface Run extends Measured {
  readonly round: number;
  readonly subject: Subject['name'];
  readonly operation: OperationName;
  readonly concurrency: number;
}

/** Callers at once. */
export const concurrencies = [1, 64];
const operations: readonly OperationName[] = ['get', 'insert'];

/** Every subject, operation and concurrency in turn, round after round, so that what the machine does meanwhile meets all alike. */
export async function runRounds(subjects: readonly Subject[], { rounds, milliseconds }: RoundsOptions, say: BenchContext['say']): Promise<readonly Run[]> {
  const runs: Run[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    say(round === 0 ? 'warming up' : `round ${round} of ${rounds}`);
    for (const concurrency of concurrencies)
      for (const operation of operations)
        for (const subject of subjects) {
          const measured = await (subject.measure?.(operation, concurrency, milliseconds) ?? measure(subject.operations[operation], concurrency, milliseconds));
          if (round > 0) runs.push({ round, subject: subject.name, operation, concurrency, ...measured });
        }
  }
  return runs;
}

/** The median of each subject, operation and concurrency over the rounds. */
export function totalsOf(runs: readonly Run[]): Record<string, Measured> {
  const totals: Record<string, Measured> = {};
  for (const { subject, operation, concurrency } of runs) {
    const name = `${subject} ${operation} x${concurrency}`;
    const same = runs.filter((run) => run.subject === subject && run.operation === operation && run.concurrency === concurrency);
    const middle = (pick: (run: Run) => number): number => median(same.map(pick));
    totals[name] ??= {
      perSecond: middle((run) => run.perSecond),
      medianUs: middle((run) => run.medianUs),
      p99Us: middle((run) => run.p99Us),
      errors: same.reduce((sum, run) => sum + run.errors, 0),
    };
  }
  return totals;
}

/** How many times longer the median call of `name` takes than that of each other one, and what share of the throughput it reaches: the median over the rounds, each round against itself. */
export function ratiosOf(runs: readonly Run[], rounds: number, name: string, others: readonly string[]): Record<string, number> {
  const ratios: Record<string, number> = {};
  const pick = (subject: string, operation: string, concurrency: number, round: number): Run | undefined =>
    runs.find((run) => run.subject === subject && run.operation === operation && run.concurrency === concurrency && run.round === round);
  for (const operation of operations)
    for (const concurrency of concurrencies)
      for (const other of others) {
        const pairs = Array.from({ length: rounds }, (_, i) => [pick(name, operation, concurrency, i + 1), pick(other, operation, concurrency, i + 1)] as const);
        const over = (of: (run: Run) => number): number =>
          Math.round(median(pairs.flatMap(([a, b]) => (a === undefined || b === undefined ? [] : [of(a) / of(b)]))) * 1_000) / 1_000;
        ratios[`${operation} x${concurrency} latency ${name}/${other}`] = over((run) => run.medianUs);
        ratios[`${operation} x${concurrency} throughput ${name}/${other}`] = over((run) => run.perSecond);
      }
  return ratios;
}

/** One line for whatever had calls that failed. */
export const failuresOf = (totals: Readonly<Record<string, Measured>>): readonly string[] =>
  Object.entries(totals).flatMap(([name, { errors }]) => (errors > 0 ? [`${errors} calls of ${name} failed`] : []));
