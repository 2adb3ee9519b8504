import { keyFromJson, keyToJson } from '../../core/cell-json.ts';
import type { Verification, Verifying } from '../../core/workflow-document.ts';
import { DifferenceSample } from './difference-sample.ts';
import type { RowDifference } from './row-difference.ts';
import { type TableComparison, type VerifyOptions, verifyTable } from './verify-table.ts';

const tablesAtOnce = 3;

/** Compares every table of the move, some of them at once. Goes on with what `begun` says is done; `onProgress` is told now and then how far it has come, and waited for. */
export async function verifyMove(options: VerifyOptions, begun: Verifying, onProgress: (verifying: Verifying) => Promise<void>, signal: AbortSignal): Promise<Verification> {
  const { move, primary, clock } = options;
  const comparisons = new Map(move.tables.map((table) => [table, begunOf(begun, table)]));
  const sample = new DifferenceSample(begun.sample);
  const present = (): Verifying => ({ ...begun, tables: [...comparisons.values()].map(written), sample: sample.entries });
  const onDifferences = (found: readonly RowDifference[], repaired: boolean): void => {
    for (const difference of found) sample.add(difference, primary, repaired);
  };
  const left = move.tables.filter((table) => comparisons.get(table)?.done !== true);
  const failure = new AbortController();
  const both = AbortSignal.any([signal, failure.signal]);
  const work = async (): Promise<void> => {
    for (let table = left.shift(); table !== undefined; table = left.shift()) {
      const onTable = (comparison: TableComparison): Promise<void> => {
        comparisons.set(comparison.table, comparison);
        return onProgress(present());
      };
      await verifyTable(options, begunOf(present(), table), onDifferences, onTable, both);
    }
  };
  const workers = Array.from({ length: tablesAtOnce }, () =>
    work().catch((error: unknown) => {
      failure.abort(error);
      throw error;
    }),
  );
  // All have let go of the stores before this one ends; the first failure is told.
  await Promise.allSettled(workers);
  if (failure.signal.aborted) throw failure.signal.reason;
  const total = (of: (comparison: TableComparison) => number): number => [...comparisons.values()].reduce((sum, comparison) => sum + of(comparison), 0);
  const finishedAt = clock.now();
  return {
    finishedAt: new Date(finishedAt).toISOString(),
    durationMs: Math.max(0, Math.round(finishedAt - Date.parse(begun.startedAt))),
    rowsCompared: total(({ rows }) => rows),
    differences: total(({ differences }) => differences),
    repaired: total(({ repaired }) => repaired),
    sample: sample.entries,
  };
}

function begunOf({ tables }: Verifying, table: string): TableComparison {
  const found = tables.find((entry) => entry.table === table);
  const keyOf = (text: string | undefined): TableComparison['after']['from'] => (text === undefined ? null : keyFromJson(text));
  const { rows = 0, differences = 0, repaired = 0, done = false, fromKey, toKey } = found ?? {};
  return { table, rows, differences, repaired, done, after: { from: keyOf(fromKey), to: keyOf(toKey) } };
}

const written = ({ after, ...counts }: TableComparison): Verifying['tables'][number] => ({
  ...counts,
  ...(after.from === null ? {} : { fromKey: keyToJson(after.from) }),
  ...(after.to === null ? {} : { toKey: keyToJson(after.to) }),
});
