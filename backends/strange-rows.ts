import type { FenceRow } from '../core/fence.ts';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { Problem } from './backend.ts';

/** Those of the tables that no workflow owns here: what is in them was brought by nobody. `rows`: their fence rows. */
export function unownedTables(tables: readonly string[], rows: readonly FenceRow[]): readonly string[] {
  return tables.filter((table) => !rows.some((row) => row.table === table && row.workflow !== null));
}

/** A table that a move would take as its target, and that is not empty. `quoted`: its name in the store's SQL. */
export const strangeRows = (table: string, quoted: string): Problem => ({
  table,
  message: 'it is there already and holds rows that no workflow has brought',
  fix: `DROP TABLE ${quoted}, if nobody needs them`,
});

/** The same, found when the table was to be claimed. */
export const rowsInTheWay = (table: string, quoted: string): SwitchyardError =>
  new SwitchyardError(
    'PRECHECK_FAILED',
    `table "${table}" exists in the target and holds rows that no workflow has brought there: DROP TABLE ${quoted}, if nobody needs them, and try again`,
    {
      metadata: { table },
    },
  );
