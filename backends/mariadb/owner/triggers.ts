import type { Clock } from '../../../core/clock.ts';
import { quoteIdentifier, quoteText } from '../connection.ts';
import type { Statements } from '../store-client.ts';
import { definePatiently } from './locking.ts';
import { type FencedTable, fenceTriggers, type Trigger, triggerNames } from './trigger-sql.ts';

interface PresentTrigger {
  readonly table: string;
  readonly name: string;
  readonly body: string;
}

/** Fence triggers that are not there, or are there with another text. */
export async function missingTriggers(statements: Statements, fenced: readonly FencedTable[], signal: AbortSignal): Promise<readonly Trigger[]> {
  const present = await presentTriggers(
    statements,
    fenced.map(({ table }) => table),
    signal,
  );
  return fenced.flatMap((each) =>
    fenceTriggers(each).filter(({ name, body }) => !present.some((trigger) => trigger.table === each.table && trigger.name === name && trigger.body === body)),
  );
}

/** Puts the write fence on an existing table where it is missing. While it waits for the table, so does everybody else who comes to it. */
export async function putTriggers(statements: Statements, clock: Clock, fenced: FencedTable, signal: AbortSignal): Promise<void> {
  for (const { sql } of await missingTriggers(statements, [fenced], signal)) await definePatiently(statements, clock, sql, signal);
}

export async function dropTriggers(statements: Statements, clock: Clock, table: string, signal: AbortSignal): Promise<void> {
  const ours = triggerNames(table);
  for (const { name } of await presentTriggers(statements, [table], signal))
    if (ours.includes(name)) await definePatiently(statements, clock, `DROP TRIGGER IF EXISTS ${quoteIdentifier(name)}`, signal);
}

/** Triggers on these tables that are not ours. */
export async function foreignTriggers(statements: Statements, tables: readonly string[], signal: AbortSignal): Promise<readonly PresentTrigger[]> {
  return (await presentTriggers(statements, tables, signal)).filter(({ table, name }) => !triggerNames(table).includes(name));
}

/** In order of table and name. The server finds a table's triggers fast only by constants. */
async function presentTriggers(statements: Statements, tables: readonly string[], signal: AbortSignal): Promise<readonly PresentTrigger[]> {
  if (tables.length === 0) return [];
  const { rows } = await statements.query(
    tables
      .map(
        (table) =>
          `SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() AND EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = ${quoteText(table)}`,
      )
      .join(' UNION ALL '),
    [],
    signal,
  );
  const present = rows.map(([table, name, body]) => ({ table: String(table), name: String(name), body: String(body) })).filter(({ table }) => tables.includes(table));
  return present.toSorted((a, b) => (a.table === b.table ? (a.name < b.name ? -1 : 1) : a.table < b.table ? -1 : 1));
}
