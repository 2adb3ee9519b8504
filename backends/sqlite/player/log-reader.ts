import { cellsEqual } from '../../../core/cell.ts';
import type { Cell } from '../../../core/cell.ts';
import type { ChangeEvent } from '../../../core/change.ts';
import { attempt } from '../../../core/ids.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { type ColumnSchema, keyIndexes, type TableSchema } from '../../../core/table-schema.ts';
import type { StreamSpec } from '../../backend.ts';
import { unmovable } from '../../unreadable-value.ts';
import { cellFromValue, selected } from '../cells.ts';
import type { Connection, SqlRow, SqlValue } from '../connection.ts';
import { nowMs } from '../owner/store-sql.ts';
import { loggedRequests } from '../request-records.ts';

type LogKind = 'insert' | 'update' | 'delete';

/** A part of the log, in order. */
export interface LogSlice {
  readonly entries: readonly LogEntry[];
  /** Id of the last row that was looked at, whether it was of interest or not. */
  readonly reached: bigint;
}

export interface LogEntry {
  readonly id: bigint;
  readonly ageMs: number;
  readonly event: ChangeEvent;
  /** Rough size in memory. */
  readonly bytes: number;
}

/** What is read of an entry beside the log's own columns. */
type Found = Pick<LogEntry, 'event' | 'bytes'>;

/** Reads one stream's part of the log: rows of its tables and records of requests that name them, markers of its workflow, its own watermarks. */
export class LogReader {
  readonly #stream: StreamSpec;
  readonly #tables: ReadonlyMap<string, Readonly<Record<LogKind, CellReader>>>;

  constructor(stream: StreamSpec, schemas: ReadonlyMap<string, TableSchema>) {
    this.#stream = stream;
    this.#tables = new Map(
      stream.tables.map((name) => {
        const table = schemas.get(name);
        if (table === undefined) throw new SwitchyardError('INTERNAL', `the schema of table "${name}" was not given`);
        const key = keyIndexes(table).flatMap((i) => table.columns[i] ?? []);
        return [
          name,
          {
            insert: new CellReader(table, 0, table.columns),
            update: new CellReader(table, key.length, [...key, ...table.columns]),
            delete: new CellReader(table, key.length, key),
          },
        ];
      }),
    );
  }

  /** The rows behind `from`, at most `limit` of them and none behind `until`. Within a transaction. */
  read(connection: Connection, from: bigint, until: bigint, limit: number): LogSlice {
    const rows = connection.all(`SELECT id, kind, name, number, ${nowMs} - at FROM switchyard_change WHERE id > ? AND id <= ? ORDER BY id LIMIT ?`, [from, until, BigInt(limit)]);
    const reached = rows.length < limit ? until : (rows[rows.length - 1]?.[0] as bigint);
    const found = new Map([...this.#changes(connection, rows, from, reached), ...this.#requests(connection, rows, from, reached)]);
    const entries = rows.flatMap(([id, kind, name, number, age]): readonly LogEntry[] => {
      const ageMs = Math.max(0, Number(age));
      const known = found.get(id as bigint);
      if (known !== undefined) return [{ id: id as bigint, ageMs, ...known }];
      if (kind === 'marker' && name === this.#stream.workflow)
        return [{ id: id as bigint, ageMs, event: { kind: 'marker', attempt: attempt(this.#numberOf(kind, number)) }, bytes: 50 }];
      if (kind === 'watermark' && name === this.#stream.id) return [{ id: id as bigint, ageMs, event: { kind: 'watermark', id: this.#numberOf(kind, number) }, bytes: 50 }];
      return [];
    });
    return { entries, reached };
  }

  /** The number of a marker or watermark; a file takes any value in any column. */
  #numberOf(kind: string, value: SqlValue | undefined): number {
    const number = typeof value === 'bigint' ? Number(value) : Number.NaN;
    if (Number.isSafeInteger(number) && number >= 0) return number;
    throw new SwitchyardError('STREAM_FAILED', `the log holds a ${kind} without its number: somebody else has written to switchyard_change. Create the workflow anew`, {
      metadata: { stream: this.#stream.id, problem: 'PROTOCOL' },
    });
  }

  /** The rows' cells, read table by table: what a cell means depends on its column. */
  #changes(connection: Connection, rows: readonly SqlRow[], from: bigint, reached: bigint): ReadonlyMap<bigint, Found> {
    const found = new Map<bigint, Found>();
    const wanted = new Set(rows.map(([, kind, name]) => JSON.stringify([kind, name])));
    for (const each of wanted) {
      const [kind, name] = JSON.parse(each) as [LogKind, string];
      const reader = this.#tables.get(name)?.[kind];
      if (reader === undefined) continue;
      for (const [id, ...values] of connection.all(reader.text, [from, reached, name, kind])) {
        try {
          found.set(id as bigint, { event: reader.event(kind, values), bytes: values.reduce<number>((sum, value) => sum + sizeOf(value), 100) });
        } catch (error) {
          throw unmovable(error, this.#stream.id, name);
        }
      }
    }
    return found;
  }

  /** The records that the rows name, as they are now: one that is gone since has had its time. */
  #requests(connection: Connection, rows: readonly SqlRow[], from: bigint, reached: bigint): ReadonlyMap<bigint, Found> {
    if (!rows.some(([, kind, name]) => kind === 'request' && this.#tables.has(String(name)))) return new Map();
    const logged = loggedRequests(connection, from, reached).filter(({ record }) => this.#tables.has(record.table));
    return new Map(logged.map(({ id, record }) => [id, { event: { kind: 'request', record }, bytes: 200 + record.result.length }]));
  }
}

/** Reads the log's rows of one table and kind. */
class CellReader {
  readonly text: string;
  readonly #table: TableSchema;
  readonly #keyLength: number;
  readonly #columns: readonly ColumnSchema[];

  constructor(table: TableSchema, keyLength: number, columns: readonly ColumnSchema[]) {
    this.#table = table;
    this.#keyLength = keyLength;
    this.#columns = columns;
    const cells = columns.map((column, i) => selected({ ...column, name: `c${i}` }));
    this.text = `SELECT id, ${cells.join(', ')} FROM switchyard_change WHERE id > ? AND id <= ? AND name = ? AND kind = ? ORDER BY id`;
  }

  event(kind: LogKind, values: SqlRow): ChangeEvent {
    // A trigger sees the -0 that was given; a REAL column stores 0.
    const cells = this.#columns.map((column, i) => cellFromValue(column, Object.is(values[i], -0) ? 0 : (values[i] ?? null)));
    const table = this.#table.name;
    if (kind === 'insert') return { kind, table, row: cells };
    if (kind === 'delete') return { kind, table, key: cells };
    const oldKey = cells.slice(0, this.#keyLength);
    const row = cells.slice(this.#keyLength);
    return { kind, table, row, oldKey: this.#isKeyOf(oldKey, row) ? null : oldKey };
  }

  #isKeyOf(key: readonly Cell[], row: readonly Cell[]): boolean {
    return keyIndexes(this.#table).every((i, at) => cellsEqual(key[at] ?? null, row[i] ?? null));
  }
}

const sizeOf = (value: unknown): number => (typeof value === 'string' || value instanceof Uint8Array ? 16 + value.length : 16);
