import { hasReason } from '../../../core/switchyard-error.ts';
import type { Problem } from '../../backend.ts';
import { strangeRows, unownedTables } from '../../strange-rows.ts';
import { type Connection, quoteIdentifier, quoteTable } from '../connection.ts';
import { type DescribedTable, describeFully } from '../schema.ts';
import type { StoreClient, Transaction } from '../store-client.ts';
import { holdsRows } from './claims.ts';
import { foldedName, namesake, nameList, tableExists } from './names.ts';
import { foreignTriggers } from './triggers.ts';

/** A transaction that keeps the write lock longer than this is named, whatever longer age the caller would allow. */
const LONGEST_LOOK_MS = 1_000;

/** See `OwnerStore.checkTables`. In one snapshot. */
export function checkTables({ connection, fence }: Transaction, tables: readonly string[], side: 'source' | 'target'): readonly Problem[] {
  return [
    ...tables.flatMap((table) => shapeProblems(connection, table, side)),
    ...(side === 'target' ? tables.flatMap((table) => nameProblems(connection, table, tables)) : []),
    ...(side === 'target' ? rowProblems(connection, unownedTables(tables, fence.rows(tables))) : []),
    ...foreignKeyProblems(connection, tables),
    ...foreignTriggers(connection, tables).map(({ name, table }) => ({
      table,
      message: `trigger "${name}" would fire again for replicated rows and is not made in the target`,
      fix: `DROP TRIGGER ${quoteIdentifier(name)}`,
    })),
  ];
}

/**
 * SQLite shows nobody's transactions. What a fence would wait for is the one that has the write lock; whether there is one that keeps it is found out by asking for it. Old readers are in nobody's way, and an idle
 * transaction that has not written yet is refused its first write after the fence.
 */
export async function checkQuiet(client: StoreClient, transactionAgeMs: number, signal: AbortSignal): Promise<readonly Problem[]> {
  const limitMs = Math.min(transactionAgeMs, LONGEST_LOOK_MS);
  try {
    await client.write(signal, () => undefined, { limitMs, urgent: true });
    return [];
  } catch (error) {
    if (!hasReason(error, 'STORE_OVERLOADED')) throw error;
    return [
      {
        table: null,
        message: `the file's write lock was not free for ${limitMs} ms: some program keeps a transaction open that has written`,
        fix: 'end it (fuser FILE names the programs that have the file open)',
      },
    ];
  }
}

function shapeProblems(connection: Connection, table: string, side: 'source' | 'target'): readonly Problem[] {
  let described: DescribedTable | null;
  try {
    described = describeFully(connection, table);
  } catch (error) {
    if (!hasReason(error, 'TABLE_UNSUPPORTED')) throw error;
    return [{ table, message: error.message, fix: 'make a table of that shape, copy the rows, drop the old one and rename the new one; or leave the table out' }];
  }
  if (described === null) return side === 'source' ? [{ table, message: 'the store has no such table', fix: 'name an existing table' }] : [];
  return [...nullableKeys(connection, table, described), ...expressionKeys(connection, table)];
}

/** Of these tables, which a move would take as its target, those that hold rows. */
function rowProblems(connection: Connection, tables: readonly string[]): readonly Problem[] {
  return tables.filter((table) => tableExists(connection, table) && holdsRows(connection, table)).map((table) => strangeRows(table, quoteTable(table)));
}

/** To SQLite two names that differ only in case are one: the table could not be made, and what has the name already is somebody else's. */
function nameProblems(connection: Connection, table: string, tables: readonly string[]): readonly Problem[] {
  const other = namesake(connection, table);
  const twin = tables.find((each) => each !== table && foldedName(each) === foldedName(table));
  const fix = 'rename or drop it, if nobody needs it there; or leave the table out';
  return [
    ...(other === null || (other.type === 'view' && other.name === table)
      ? []
      : [{ table, message: `the store holds a ${other.type} "${other.name}", which has the same name to SQLite`, fix }]),
    ...(twin === undefined ? [] : [{ table, message: `table "${twin}" of the same move has the same name to SQLite`, fix: 'leave one of the two out' }]),
  ];
}

function nullableKeys(connection: Connection, table: string, { rowidColumn }: DescribedTable): readonly Problem[] {
  const columns = connection.all(`SELECT name FROM pragma_table_xinfo(?, 'main') WHERE pk > 0 AND "notnull" = 0 ORDER BY pk`, [table]).map(([name]) => String(name));
  return columns
    .filter((name) => name !== rowidColumn)
    .map((name) => ({
      table,
      message: `column "${name}" of the primary key may hold NULL, which SQLite allows where NOT NULL is not said`,
      fix: 'make the table anew with NOT NULL in its key, copy the rows, drop the old one and rename the new one',
    }));
}

/** The rows that REPLACE deletes by such a key could not be found beforehand. */
function expressionKeys(connection: Connection, table: string): readonly Problem[] {
  const indexes = connection.all(
    `SELECT l.name FROM pragma_index_list(?, 'main') l WHERE l."unique" = 1 AND EXISTS (SELECT 1 FROM pragma_index_xinfo(l.name, 'main') x WHERE x.key = 1 AND x.cid < 0)`,
    [table],
  );
  return indexes.map(([name]) => ({
    table,
    message: `unique index "${String(name)}" is on an expression: rows that it makes an INSERT OR REPLACE delete would be missing in the log`,
    fix: `DROP INDEX ${quoteIdentifier(String(name))}, or put the expression into a generated column with a unique index`,
  }));
}

function foreignKeyProblems(connection: Connection, tables: readonly string[]): readonly Problem[] {
  const rows = connection.all(
    `SELECT t.name, f."table", group_concat(f."from", ', ') FROM sqlite_schema t JOIN pragma_foreign_key_list(t.name, 'main') f WHERE t.type = 'table' GROUP BY t.name, f.id ORDER BY t.name, f."table"`,
  );
  const moved = connection.all('SELECT lower(value) FROM json_each(?)', [nameList(tables)]).map(([name]) => name);
  const isMoved = (name: string): boolean => moved.includes(name.toLowerCase());
  return rows.flatMap(([from, to, columns]): readonly Problem[] => {
    const [child, parent] = [String(from), String(to)];
    if (isMoved(child) === isMoved(parent)) return [];
    const table = isMoved(child) ? child : parent;
    const other = isMoved(child) ? parent : child;
    const key = `foreign key (${String(columns)})`;
    const message = isMoved(child)
      ? `${key} leads to table "${parent}", which is not part of the move`
      : `${key} of table "${child}" leads here, and that table is not part of the move`;
    return [{ table, message, fix: `move "${other}" too, or make ${quoteTable(child)} anew without the foreign key` }];
  });
}
