import type { Clock } from '../../../core/clock.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { SequenceState } from '../../backend.ts';
import { quoteIdentifier, quoteText } from '../connection.ts';
import type { Statements } from '../store-client.ts';
import { definePatiently } from './locking.ts';

/** The target's tables are read at most. */
const LIMIT_MS = 7_000;

const bitsOfType: Readonly<Record<string, bigint>> = { tinyint: 8n, smallint: 16n, mediumint: 24n, int: 32n, bigint: 64n };

interface NumberedColumn {
  readonly state: SequenceState;
  /** The column's largest value; null for one of floats. */
  readonly limit: bigint | null;
}

/** What an AUTO_INCREMENT column was given last: one below the next number, which the server keeps in memory and shows as it is now. It is no part of a snapshot. */
export async function readSequences(statements: Statements, tables: readonly string[], signal: AbortSignal): Promise<readonly SequenceState[]> {
  return (await numberedColumns(statements, tables, signal)).map(({ state }) => state);
}

/** Raises to at least these values; never lowers one. Each needs its table for itself for an instant. */
export async function raiseSequences(statements: Statements, clock: Clock, states: readonly SequenceState[], signal: AbortSignal): Promise<void> {
  const present = await numberedColumns(
    statements,
    states.map(({ table }) => table),
    signal,
  );
  for (const { table, column, value } of states) {
    const found = present.find(({ state }) => state.table === table && state.column === column);
    if (found === undefined || found.state.value >= value) continue;
    if (found.limit !== null && value > found.limit)
      throw new SwitchyardError('VALUE_INVALID', `column "${column}" of table "${table}" cannot be given numbers above ${found.limit}, and ${value} is asked for`, {
        metadata: { table, column },
      });
    // The log has this text, and the way back knows that it changes nothing else.
    await definePatiently(statements, clock, `ALTER TABLE ${quoteIdentifier(table)} AUTO_INCREMENT = ${value + 1n}`, signal, LIMIT_MS);
  }
}

/** In order of table. The server looks a table up fast only by constants, and takes names of another case for the same. */
async function numberedColumns(statements: Statements, tables: readonly string[], signal: AbortSignal): Promise<readonly NumberedColumn[]> {
  if (tables.length === 0) return [];
  const named = (alias: string, table: string): string => `${alias}.TABLE_SCHEMA = DATABASE() AND ${alias}.TABLE_NAME = ${quoteText(table)}`;
  const { rows } = await statements.query(
    [...new Set(tables)]
      .toSorted()
      .map(
        (table) =>
          `SELECT t.TABLE_NAME, c.COLUMN_NAME, c.COLUMN_TYPE, t.AUTO_INCREMENT FROM information_schema.TABLES t JOIN information_schema.COLUMNS c ON ${named('c', table)} WHERE ${named('t', table)} AND t.AUTO_INCREMENT IS NOT NULL AND c.EXTRA LIKE '%auto_increment%'`,
      )
      .join(' UNION ALL '),
    [],
    signal,
  );
  return rows
    .map((row) => row.map(String))
    .filter(([table = '']) => tables.includes(table))
    .map(([table = '', column = '', type = '', next = '1']) => ({ state: { table, column, value: BigInt(next) - 1n }, limit: limitOf(type) }));
}

function limitOf(columnType: string): bigint | null {
  const bits = bitsOfType[/^[a-z]+/.exec(columnType)?.[0] ?? ''];
  if (bits === undefined) return null;
  return 2n ** (columnType.includes('unsigned') ? bits : bits - 1n) - 1n;
}
