import type { SequenceState } from '../../backend.ts';
import { type Connection, quoteIdentifier, quoteTable } from '../connection.ts';
import { describeFully } from '../schema.ts';
import type { Transaction } from '../store-client.ts';
import { tableExists } from './names.ts';

/**
 * Numbers that SQLite gives to rows: of an INTEGER PRIMARY KEY. With AUTOINCREMENT it remembers the highest one ever given; without it the next number is one above the highest row that is there, so it is ahead of all
 * rows by nature. What such a table was raised to is kept by us, for whoever compares two stores or moves the table on to an engine whose sequences have to be told.
 */
export function readSequences({ connection, fence }: Transaction, tables: readonly string[]): readonly SequenceState[] {
  if (!fence.isInstalled()) return [];
  return [...tables].sort().flatMap((table) => {
    const column = tableExists(connection, table) ? describeFully(connection, table)?.rowidColumn : null;
    if (column === null || column === undefined) return [];
    const highest = `(SELECT max(${quoteIdentifier(column)}) FROM ${quoteTable(table)})`;
    const raised = '(SELECT value FROM switchyard_sequence WHERE table_name = ?1)';
    const remembered = '(SELECT seq FROM sqlite_sequence WHERE name = ?1)';
    const [row] = connection.all(`SELECT max(${[highest, raised, remembered].map((each) => `coalesce(${each}, 0)`).join(', ')})`, [table]);
    return [{ table, column, value: BigInt(String(row?.[0] ?? 0)) }];
  });
}

/** Raises to at least these values; never lowers one. Inside a transaction with the write lock. */
export function raiseSequences({ connection }: Transaction, states: readonly SequenceState[]): void {
  for (const { table, value } of states) {
    connection.run('INSERT INTO switchyard_sequence (table_name, value) VALUES (?, ?) ON CONFLICT (table_name) DO UPDATE SET value = max(value, excluded.value)', [table, value]);
    if (!isAutoincrement(connection, table)) continue;
    // It has no key of its own that an upsert could go by.
    const raised = connection.run('UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?', [value, table]);
    if (raised === 0) connection.run('INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)', [table, value]);
  }
}

/** Whether the table's numbers are never given twice. The keyword can stand nowhere else in a table's definition but in a comment, a name or a text, where it only costs a row of `sqlite_sequence`. */
function isAutoincrement(connection: Connection, table: string): boolean {
  return connection.all(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ? AND sql LIKE '%AUTOINCREMENT%'`, [table]).length > 0;
}
