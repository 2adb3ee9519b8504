import type { SequenceState } from '../../backend.ts';
import { textFromElements } from '../array-text.ts';
import type { TextRow } from '../batch.ts';
import type { Statements } from '../store-client.ts';

/** Sequences that fill columns of the tables, an SQL array of names: owned by the column (serial, identity) or named in its default. */
export const filledColumns = (tables: string): string => `
  SELECT c.relname AS table_name, a.attname AS column_name, s.oid AS sequence FROM pg_class c
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_class s ON s.relkind = 'S' AND (
    EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype IN ('a', 'i'))
    OR EXISTS (SELECT FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid
      WHERE f.adrelid = c.oid AND f.adnum = a.attnum))
  WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (${tables})`;

/** $1: the tables. One row a sequence: table, column, highest value handed out. A sequence that was never used stands just before its start. */
export const sequencesText = `
  SELECT f.table_name, f.column_name, coalesce(pg_sequence_last_value(f.sequence::regclass), q.seqstart - q.seqincrement)
  FROM (${filledColumns('$1::text[]')}) f JOIN pg_sequence q ON q.seqrelid = f.sequence ORDER BY 1, 2`;

export const sequencesFromRows = (rows: readonly TextRow[]): readonly SequenceState[] =>
  rows.map(([table, column, value]) => ({ table: table ?? '', column: column ?? '', value: BigInt(value ?? 0) }));

/** Raises in one statement. A value that the sequence cannot take is an error of the store's. */
export async function raiseSequences(statements: Statements, states: readonly SequenceState[], signal: AbortSignal): Promise<void> {
  if (states.length === 0) return;
  const text = `
    SELECT setval(f.sequence::regclass, w.value) FROM (${filledColumns('$1::text[]')}) f
    JOIN unnest($2::text[], $3::text[], $4::bigint[]) AS w (table_name, column_name, value) ON w.table_name = f.table_name AND w.column_name = f.column_name
    JOIN pg_sequence q ON q.seqrelid = f.sequence
    WHERE w.value >= q.seqmin AND w.value > coalesce(pg_sequence_last_value(f.sequence::regclass), q.seqmin - 1)`;
  const column = (value: (state: SequenceState) => string): string => textFromElements(states.map(value));
  const tables = [...new Set(states.map((state) => state.table))];
  const values = [textFromElements(tables), column((state) => state.table), column((state) => state.column), column((state) => String(state.value))];
  await statements.query(text, values, signal);
}
