import { type Cell, keyText } from '../../../core/cell.ts';
import type { RowChange } from '../../../core/change.ts';
import type { RequestRecord } from '../../../core/request-record.ts';
import { hasReason, type SwitchyardError } from '../../../core/switchyard-error.ts';
import { keyIndexes, type TableSchema } from '../../../core/table-schema.ts';
import { unreadable } from '../../unreadable-value.ts';
import { MARKER_TABLE, REQUEST_TABLE, STREAM_TABLE, WATERMARK_TABLE } from '../names.ts';
import { LOG_TABLE } from '../owner/store-sql.ts';
import { cellReader, isCompressed, type ReadCell } from './binlog/log-cells.ts';
import type { RowsEvent } from './binlog/log-events.ts';
import { LogFault, protocolFault } from './binlog/log-fault.ts';
import type { RowImage } from './binlog/row-images.ts';
import { BINARY_COLLATION, decodeColumns, type MapColumn, type TableMap } from './binlog/table-map.ts';
import { formOfMap } from './binlog/wire-forms.ts';
import type { LogGround, TableShape } from './log-shape.ts';

/** A table of the log, by what it is to us. `columns`: all that its rows have. */
export type Relation =
  | { readonly kind: 'table'; readonly columns: readonly MapColumn[]; readonly table: StreamTable }
  | { readonly kind: 'marker' | 'watermark'; readonly columns: readonly MapColumn[]; readonly owner: number; readonly value: number }
  | { readonly kind: 'request'; readonly columns: readonly MapColumn[]; readonly places: readonly number[] }
  /** A transaction that changes it is a player's. */
  | { readonly kind: 'stream' }
  /** A reader's own note. */
  | { readonly kind: 'log' }
  | { readonly kind: 'other' };

export interface StreamTable {
  readonly schema: TableSchema;
  readonly keyIndexes: readonly number[];
  /** Null for a column that the store computes: the log may have a value that was never computed. */
  readonly readers: readonly (ReadCell | null)[];
  /** It has columns whose values take less room in the log than in memory. */
  readonly isCompressed: boolean;
}

/** Recognizes the tables of a stream's log. */
export class LogTables {
  readonly #database: string;
  readonly #ground: LogGround;
  /** What the tables of the database were recognized as, by their names; void when they are described in another way. */
  readonly #known = new Map<string, { readonly description: Buffer; readonly relation: Relation }>();

  constructor(database: string, ground: LogGround) {
    this.#database = database;
    this.#ground = ground;
  }

  /** STREAM_FAILED: a table of the stream is not what it was (SCHEMA_CHANGED), or the log does not tell (LOG_INCOMPLETE). */
  recognize(map: TableMap): Relation {
    if (map.database !== this.#database) return { kind: 'other' };
    const known = this.#known.get(map.table);
    if (known?.description.equals(map.description) === true) return known.relation;
    // The event's memory is not ours to keep.
    const description = Buffer.from(map.description);
    const relation = this.#describe(map.table, description);
    this.#known.set(map.table, { description, relation });
    return relation;
  }

  #describe(name: string, description: Buffer): Relation {
    if (name === STREAM_TABLE) return { kind: 'stream' };
    if (name === LOG_TABLE) return { kind: 'log' };
    const shape = this.#ground.shapes.get(name);
    if (shape !== undefined) return this.#table(shape, decodeColumns(description));
    if (name !== MARKER_TABLE && name !== WATERMARK_TABLE && name !== REQUEST_TABLE) return { kind: 'other' };
    const columns = decodeColumns(description);
    const place = (column: string): number => {
      const found = columns.findIndex((each) => each.name === column);
      if (found === -1) throw withoutNames(name);
      return found;
    };
    if (name === REQUEST_TABLE) return { kind: 'request', columns, places: requestColumns.map(place) };
    if (name === MARKER_TABLE) return { kind: 'marker', columns, owner: place('workflow'), value: place('attempt') };
    return { kind: 'watermark', columns, owner: place('stream'), value: place('id') };
  }

  #table(shape: TableShape, columns: readonly MapColumn[]): Relation {
    const { schema } = shape;
    const { charsets } = this.#ground;
    if (columns.some(({ name }) => name === null)) throw withoutNames(schema.name);
    const describe = (list: TableShape['columns']): string => list.map(({ name, form }) => `${name} ${form}`).join(', ');
    const logged = describe(columns.map((column) => ({ name: column.name ?? '', form: formOfMap(column, charsets) })));
    const expected = describe(shape.columns);
    if (logged !== expected) {
      throw new LogFault(
        'SCHEMA_CHANGED',
        `table "${schema.name}" changed its shape during the move: its columns are ${logged}; expected were ${expected}. Undo the change and create the workflow anew`,
        {
          table: schema.name,
        },
      );
    }
    const readers = schema.columns.map((column, i) => (column.generated ? null : cellReader(column, columns[i] as MapColumn, charsets)));
    return { kind: 'table', columns, table: { schema, keyIndexes: keyIndexes(schema), readers, isCompressed: columns.some(isCompressed) } };
  }
}

const withoutNames = (table: string): LogFault =>
  new LogFault('LOG_INCOMPLETE', 'somebody wrote while binlog_row_metadata was not FULL, so the log does not name the columns: create the workflow anew', {
    table,
    fix: 'SET GLOBAL binlog_row_metadata = FULL',
  });

/** The change of a row: `image` before it, or the only one, `after` behind an update. VALUE_UNSUPPORTED (as `problem`): a value without an exact cell. */
export function rowChange(table: StreamTable, change: RowsEvent['change'], image: RowImage, after: RowImage): RowChange {
  const { name } = table.schema;
  try {
    if (change === 'insert') return { kind: 'insert', table: name, row: rowOf(table, image) };
    const key = keyOf(table, image);
    if (change === 'delete') return { kind: 'delete', table: name, key };
    return { kind: 'update', table: name, row: rowOf(table, after), oldKey: keyText(key) === keyText(keyOf(table, after)) ? null : key };
  } catch (error) {
    if (!hasReason(error, 'VALUE_UNSUPPORTED')) throw error;
    const { message } = unreadable(error, name, shownKey(table, image));
    throw new LogFault('VALUE_UNSUPPORTED', `a change brought a value that cannot be moved: ${message}; then create the workflow anew`, { table: name, cause: error });
  }
}

const rowOf = ({ readers }: StreamTable, image: RowImage): readonly Cell[] => readers.map((read, i) => cellOf(read, image[i]));
const keyOf = ({ readers, keyIndexes: indexes }: StreamTable, image: RowImage): readonly Cell[] => indexes.map((i) => cellOf(readers[i] ?? null, image[i]));
const cellOf = (read: ReadCell | null, bytes: Buffer | null | undefined): Cell => (read === null || bytes === null || bytes === undefined ? null : read(bytes));

function shownKey(table: StreamTable, image: RowImage): string | null {
  try {
    return keyText(keyOf(table, image));
  } catch {
    return null;
  }
}

/** Columns of `switchyard_request`, in the order that `recordOf` takes them. */
const requestColumns = ['caller', 'request_id', 'table_name', 'digest', 'result', 'recorded_at'];

interface OwnValue {
  readonly column: MapColumn | undefined;
  readonly bytes: Buffer | null;
}

/** The record that a row of `switchyard_request` is. */
export function recordOf({ columns, places }: Extract<Relation, { kind: 'request' }>, row: RowImage): RequestRecord {
  const [caller, id, table, digest, result, recordedAt] = places.map((place): OwnValue => ({ column: columns[place], bytes: row[place] ?? null }));
  return {
    caller: textOf(caller),
    id: textOf(id),
    table: textOf(table),
    digest: textOf(digest),
    result: new Uint8Array(bytesOf(result)),
    recordedAtMicros: bytesOf(recordedAt).readBigInt64LE(),
  };
}

function textOf(value: OwnValue | undefined): string {
  if (value?.column?.collation === BINARY_COLLATION) throw notOurs();
  return bytesOf(value).toString('utf8');
}

function bytesOf(value: OwnValue | undefined): Buffer {
  if (value === undefined || value.bytes === null) throw notOurs();
  return value.bytes;
}

const notOurs = (): SwitchyardError => protocolFault('a record of a request without all its parts: somebody has made its table anew');
