import type { TableSchema } from '../../../core/table-schema.ts';
import type { Connection } from '../connection.ts';
import { quoteIdentifier } from '../connection.ts';
import { nameList, tableExists } from './names.ts';
import { candidateWidth, fencePurposes, fenceTriggers, logTriggers, logWidth, type Trigger, triggerName, type UniqueIndex } from './trigger-sql.ts';

const logPurposes = ['log_before_insert', 'log_before_update', 'log_after_update', 'log_insert', 'log_update', 'log_delete'] as const;

/** Fence triggers of existing tables that are not there, or are there with another text. */
export function missingTriggers(connection: Connection, tables: readonly string[]): readonly Trigger[] {
  return tables.filter((table) => tableExists(connection, table)).flatMap((table) => fenceTriggers(table).filter((trigger) => !isThere(connection, trigger)));
}

/** Puts the write fence on a table where it is missing. Inside a transaction. */
export function putFenceTriggers(connection: Connection, table: string): void {
  for (const trigger of missingTriggers(connection, [table])) replace(connection, trigger);
}

/** Begins to log a table's changes, for whichever stream. Inside a transaction: every change after it is in the log. */
export function putLogTriggers(connection: Connection, table: TableSchema): void {
  const uniques = uniqueIndexes(connection, table.name);
  widen(connection, 'switchyard_change', logWidth(table));
  widen(connection, 'switchyard_candidate', candidateWidth(table));
  for (const trigger of logTriggers(table, uniques)) if (!isThere(connection, trigger)) replace(connection, trigger);
}

/** Whether everything that logs the table's changes is in place as its present shape wants it. */
export function logsFully(connection: Connection, table: TableSchema): boolean {
  return logTriggers(table, uniqueIndexes(connection, table.name)).every((trigger) => isThere(connection, trigger));
}

/** Tables whose changes are logged, for whichever stream. */
export function loggedTables(connection: Connection): readonly string[] {
  const prefix = triggerName('log_insert', '');
  return connection
    .all(`SELECT substr(name, ?1) FROM sqlite_schema WHERE type = 'trigger' AND substr(name, 1, ?1 - 1) = ?2`, [prefix.length + 1, prefix])
    .map(([table]) => String(table));
}

export function dropLogTriggers(connection: Connection, table: string): void {
  for (const purpose of logPurposes) connection.script(`DROP TRIGGER IF EXISTS main.${quoteIdentifier(triggerName(purpose, table))}`);
}

/** Triggers on these tables that are not ours: name and table. */
export function foreignTriggers(connection: Connection, tables: readonly string[]): readonly { readonly name: string; readonly table: string }[] {
  // A trigger's tbl_name is spelt as its own statement spelt it.
  const rows = connection.all(
    `SELECT t.name, j.value FROM json_each(?) j JOIN sqlite_schema t ON t.type = 'trigger' AND lower(t.tbl_name) = lower(j.value) ORDER BY j.value, t.name`,
    [nameList(tables)],
  );
  const ours = (name: string, table: string): boolean => name === triggerName(purposeOf(name, table), table);
  return rows.map(([name, table]) => ({ name: String(name), table: String(table) })).filter(({ name, table }) => !ours(name, table));
}

/** Unique keys besides the primary key, as their indexes compare. An index on an expression cannot be named here; the checks refuse it. */
export function uniqueIndexes(connection: Connection, table: string): readonly UniqueIndex[] {
  const indexes = connection.all(`SELECT name, partial FROM pragma_index_list(?) WHERE "unique" = 1 AND origin <> 'pk' ORDER BY name`, [table]);
  return indexes
    .map(([name, partial]) => ({
      partial: partial === 1n,
      columns: connection
        .all('SELECT name, coll FROM pragma_index_xinfo(?) WHERE key = 1 ORDER BY seqno', [name ?? null])
        .map(([column, collation]) => ({ name: column === null ? '' : String(column), collation: String(collation) })),
    }))
    .filter(({ columns }) => columns.every(({ name }) => name !== ''));
}

function purposeOf(name: string, table: string): string {
  const purposes: readonly string[] = [...fencePurposes, ...logPurposes];
  return purposes.find((purpose) => name === triggerName(purpose, table)) ?? '';
}

function isThere(connection: Connection, trigger: Trigger): boolean {
  return connection.all(`SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name = ? AND sql = ?`, [trigger.name, trigger.sql]).length > 0;
}

function replace(connection: Connection, trigger: Trigger): void {
  connection.script(`DROP TRIGGER IF EXISTS main.${quoteIdentifier(trigger.name)}; ${trigger.sql};`);
}

/** Sees to it that the table has cells c0 to c(width − 1). */
function widen(connection: Connection, name: string, width: number): void {
  const cells = connection.all('SELECT name FROM pragma_table_info(?)', [name]).filter(([column]) => /^c\d+$/.test(String(column))).length;
  for (let at = cells; at < width; at += 1) connection.script(`ALTER TABLE main.${name} ADD COLUMN c${at}`);
}
