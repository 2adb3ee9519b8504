import type { DataTransaction, TransactionOptions } from '../../../backends/backend.ts';
import { batchTooLarge, noSavepoint, TRANSACTION_DIGEST, wasCommitted } from '../../../backends/request-answer.ts';
import { cellFromValue } from '../../../backends/sqlite/cells.ts';
import { Connection, quoteIdentifier, type SqlRow, type Statement } from '../../../backends/sqlite/connection.ts';
import { compileAggregate, compileGet, compileQuery } from '../../../backends/sqlite/data/compiler.ts';
import { rowReader } from '../../../backends/sqlite/data/rows.ts';
import { planWrites, runWrites } from '../../../backends/sqlite/data/write.ts';
import { storeError } from '../../../backends/sqlite/errors.ts';
import { ReadFence } from '../../../backends/sqlite/read-fence.ts';
import { addRequest, findRequests } from '../../../backends/sqlite/request-records.ts';
import { aggregateColumn } from '../../../core/aggregate-column.ts';
import type { AggregateGroup, AggregateOperation, BatchGetOperation, GetOperation, QueryOperation, QueryPage, Row, WriteOperation, WriteResult } from '../../../core/operation.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { columnNamed, type TableSchema } from '../../../core/table-schema.ts';

const answer = { form: 'mutate', maxBytes: 0 } as const;

/** A transaction that is driven step by step, of the SQL that the product makes for SQLite: which itself has none. One at a time. */
export class SqliteTransaction implements DataTransaction {
  readonly #connection: Connection;
  readonly #fence: ReadFence;
  readonly #options: TransactionOptions;
  readonly #savepoints = new Set<string>();
  readonly #onEnd: () => void;
  readonly wasCommitted: boolean;
  readonly hasFailed = false;
  #isOver = false;

  constructor(path: string, options: TransactionOptions, onEnd: () => void) {
    this.#connection = Connection.open({ path });
    this.#fence = new ReadFence(this.#connection);
    this.#options = options;
    this.#onEnd = onEnd;
    this.#connection.run('BEGIN');
    try {
      const { once } = options;
      this.wasCommitted = once !== null && wasCommitted(once.id, findRequests(this.#connection, once));
    } catch (error) {
      this.#connection[Symbol.dispose]();
      throw storeError(error);
    }
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get(table: TableSchema, { key, columns }: GetOperation): Promise<Row | null> {
    const reader = rowReader(table, columns);
    return this.#done(table, () => {
      const [row] = this.#rows(table, compileGet(table, key, reader.columns));
      return row === undefined ? null : reader.read(row);
    });
  }

  batchGet(table: TableSchema, operation: BatchGetOperation): Promise<readonly (Row | null)[]> {
    return this.#done(table, () => {
      const reader = rowReader(table, operation.columns);
      const found = operation.keys.map((key) => this.#rows(table, compileGet(table, key, reader.columns)));
      if (operation.maxBytes !== undefined && operation.maxBytes < found.flat().length) throw batchTooLarge(operation, 0);
      return found.map(([row]) => (row === undefined ? null : reader.read(row)));
    });
  }

  query(table: TableSchema, operation: QueryOperation): Promise<QueryPage> {
    return this.#done(table, () => {
      const reader = rowReader(table, operation.columns);
      const rows = this.#rows(table, compileQuery(table, operation, reader.columns));
      return { rows: rows.slice(0, operation.limit).map(reader.read), more: rows.length > operation.limit };
    });
  }

  aggregate(table: TableSchema, operation: AggregateOperation): Promise<readonly AggregateGroup[]> {
    return this.#done(table, () => {
      const group = operation.groupBy === null ? null : columnNamed(table, operation.groupBy);
      const columns = operation.aggregations.map((aggregation) => aggregateColumn(aggregation, (name) => columnNamed(table, name)));
      return this.#rows(table, compileAggregate(table, operation)).map((row) => ({
        group: group === null ? null : cellFromValue(group, row[0] ?? null),
        values: columns.map((column, i) => cellFromValue(column, row[i + (group === null ? 0 : 1)] ?? null)),
      }));
    });
  }

  write(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[]): Promise<readonly WriteResult[]> {
    return this.#done(undefined, () => {
      if (this.#options.readOnly) throw new SwitchyardError('STORE_READ_ONLY', 'the transaction only reads');
      return runWrites({ connection: this.#connection, fence: this.#fence }, planWrites(schemas, operations));
    });
  }

  savepoint(name: string): Promise<void> {
    return this.#done(undefined, () => {
      this.#connection.run(`SAVEPOINT ${quoteIdentifier(name)}`);
      this.#savepoints.add(name);
    });
  }

  rollBackTo(name: string): Promise<void> {
    return this.#done(undefined, () => {
      if (!this.#savepoints.has(name)) throw noSavepoint(name);
      this.#connection.run(`ROLLBACK TO ${quoteIdentifier(name)}`);
    });
  }

  commit(table: string): Promise<void> {
    return this.#done(undefined, () => {
      const { once } = this.#options;
      try {
        if (once !== null) addRequest(this.#connection, { ...once, table, digest: TRANSACTION_DIGEST, encode: () => new Uint8Array(), answer }, new Uint8Array());
        this.#connection.run('COMMIT');
      } finally {
        this.#isOver = true;
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#connection[Symbol.dispose]();
    this.#onEnd();
  }

  #rows(table: TableSchema, { text, values }: Statement): readonly SqlRow[] {
    this.#fence.check([table.name]);
    return this.#connection.all(text, values);
  }

  async #done<T>(table: TableSchema | undefined, work: () => T): Promise<T> {
    if (this.#isOver) throw new SwitchyardError('TRANSACTION_EXPIRED', 'the transaction is over');
    try {
      return work();
    } catch (error) {
      throw storeError(error, table);
    }
  }
}
