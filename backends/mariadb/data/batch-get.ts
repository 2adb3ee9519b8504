import { type Cell, keyText } from '../../../core/cell.ts';
import type { BatchGetOperation, Row, RowLock } from '../../../core/operation.ts';
import { type ColumnSchema, columnNamed, type TableSchema } from '../../../core/table-schema.ts';
import { batchTooLarge } from '../../request-answer.ts';
import { cellFromValue } from '../cells.ts';
import { isExactText } from '../comparison.ts';
import { quoteIdentifier } from '../connection.ts';
import { lockText } from './compiler.ts';
import type { Read, ReadValues } from './read.ts';
import { placedRows, rowReader } from './results.ts';
import { padded, Values } from './values.ts';
import { withoutTrailingZeros } from '../../trailing-zeros.ts';

/** A read of many rows by their keys. */
export interface BatchRead {
  readonly read: Read;
  /** The rows in the order of their keys. RESULT_TOO_LARGE where some were left out. */
  readonly place: (found: ReadValues) => readonly (Row | null)[];
}

/** The rows with the keys, at least one. */
export function compileBatchGet(table: TableSchema, operation: BatchGetOperation, lock: RowLock | null = null): BatchRead {
  const keyColumns = table.primaryKey.map((name) => columnNamed(table, name));
  // A key of NULLs is that of no row.
  const keys = padded(
    operation.keys,
    keyColumns.map(() => null),
  );
  const { read, place } = keyColumns.every(tellsCells) ? listed(table, operation, keyColumns, keys, lock) : united(table, operation, keys, lock);
  return { read: operation.maxBytes === undefined ? read : { ...read, maxBytes: operation.maxBytes }, place };
}

/** Whether values of the column are equal exactly where their cells are, so that a found row tells by itself whose key it has. */
const tellsCells = (column: ColumnSchema): boolean => column.kind !== 'enum' && column.kind !== 'json' && (column.kind !== 'text' || isExactText(column));

/** One list of keys; the rows come with their own. */
function listed(table: TableSchema, operation: BatchGetOperation, keyColumns: readonly ColumnSchema[], keys: BatchGetOperation['keys'], lock: RowLock | null): BatchRead {
  const values = new Values(table);
  const names = keyColumns.map(({ name }) => quoteIdentifier(name));
  const rows = keys.map((key) => keyColumns.map((column, i) => values.compared(column, key[i] ?? null)).join(', '));
  const within = names.length === 1 ? `${names[0]} IN (${rows.join(', ')})` : `(${names.join(', ')}) IN (${rows.map((row) => `(${row})`).join(', ')})`;
  const read = {
    table,
    columns: [...operation.columns.map(quoteIdentifier), ...names],
    // By its entries in another index, such as one of all columns asked for, a row would not be locked as a whole.
    source: `FROM ${quoteIdentifier(table.name)} FORCE INDEX (PRIMARY) WHERE ${within}${lockText(lock)}`,
    values: values.all,
  };
  const keyOf = (cells: readonly Cell[]): string => keyText(keyColumns.map((column, i) => comparable(column, cells[i] ?? null)));
  return {
    read,
    place: ({ rows: found, cut, first = 0 }) => {
      if (cut) throw batchTooLarge(operation, found.length);
      const readRow = rowReader(table, operation.columns);
      const firstKey = first + operation.columns.length;
      const byKey = new Map(found.map((row) => [keyOf(keyColumns.map((column, i) => cellFromValue(column, row[firstKey + i] ?? null))), readRow(row, first)]));
      return operation.keys.map((key) => byKey.get(keyOf(key)) ?? null);
    },
  };
}

/** Equal for the cells that are equal to the store. */
function comparable({ kind }: ColumnSchema, cell: Cell): Cell {
  switch (kind) {
    case 'uuid':
      return typeof cell === 'string' ? cell.toLowerCase() : cell;
    case 'decimal':
      return typeof cell === 'string' ? plainDecimal(cell) : cell;
    case 'float32':
      return typeof cell === 'number' ? Math.fround(cell) + 0 : cell;
    case 'float64':
      return typeof cell === 'number' ? cell + 0 : cell;
    default:
      return cell;
  }
}

/** The one text of a decimal's value: its digits without zeros around them, and how many of them stand behind the point. */
function plainDecimal(text: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  const digits = `${whole}${fraction}`.replace(/^0+/, '');
  const significant = withoutTrailingZeros(digits);
  if (significant === '') return '0';
  const scale = fraction.length - Number(exponent) - (digits.length - significant.length);
  return `${sign === '-' ? '-' : ''}${significant}e${-scale}`;
}

/** Equality that is a collation's is the store's to tell: each key is asked for by itself, in one statement, and its row comes with the key's place. */
function united(table: TableSchema, operation: BatchGetOperation, keys: BatchGetOperation['keys'], lock: RowLock | null): BatchRead {
  const values = new Values(table);
  const gets = keys.map((key, place) => {
    const cells = [`${place + 1} AS place`, ...operation.columns.map((name, i) => `${quoteIdentifier(name)} AS c${i}`)];
    return `(SELECT ${cells.join(', ')} FROM ${quoteIdentifier(table.name)} WHERE ${values.keyCondition(key)}${lockText(lock)})`;
  });
  const columns = ['found.place', ...operation.columns.map((_, i) => `found.c${i}`)];
  return {
    read: { table, columns, source: `FROM (${gets.join(' UNION ALL ')}) found`, values: values.all },
    place: (found) => placedRows(table, operation, found),
  };
}
