import { mayRead, mayWrite } from '../../../core/fence.ts';
import type {
  AggregateGroup,
  AggregateOperation,
  BatchGetOperation,
  GetOperation,
  QueryOperation,
  QueryPage,
  Row,
  RowLock,
  WriteOperation,
  WriteResult,
} from '../../../core/operation.ts';
import { hasReason, SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { DataTransaction, TransactionOptions } from '../../backend.ts';
import type { ConnectionPool } from '../../connection-pool.ts';
import { noSavepoint, TRANSACTION_DIGEST, transactionFailed, wasCommitted } from '../../request-answer.ts';
import { NOT_COMMITTED } from '../../write-answers.ts';
import { endsTransaction, isMissingFunction, storeError } from '../errors.ts';
import { HOLD_OPEN } from '../owner/trigger-sql.ts';
import type { Session, Statement } from '../session.ts';
import { compileBatchGet } from './batch-get.ts';
import { compileAggregate, compileGet, compileQuery } from './compiler.ts';
import { type FencedReads, lookUnfenced } from './fenced-reads.ts';
import type { PresentFence } from './present-fence.ts';
import { type Read, readUnfenced, type ReadValues } from './read.ts';
import { groupsOf, onlyRow, pageOf, planned, results } from './results.ts';
import { command, commitTransaction, step } from './transaction.ts';
import { runAll, type WriteRunner } from './write.ts';
import { findRecords, recordError, recordStatement } from './write-once.ts';

/** Answers with 1 where the table is held, 0 where nobody fences it; ends with FENCED. */
const holdText = `SELECT ${HOLD_OPEN}(?)`;

export interface InteractiveParts {
  readonly pool: ConnectionPool<Session>;
  readonly fenced: FencedReads;
  readonly presentFence: PresentFence;
}

/**
 * What the reads of a transaction see, and how the fence meets them. `statement`: each what is committed by then; the fence row is read with it. `snapshot`: what was committed at the first one; the fence is looked at beside it, as it is now. `locks`: what is
 * there, which nobody changes before the transaction's end; it holds the table open as a writer does, so that a fence waits for it, or has come first and refuses it.
 */
type Sight = 'statement' | 'snapshot' | 'locks';

function sightOf({ isolation, readOnly }: TransactionOptions): Sight {
  if (isolation === 'read committed') return 'statement';
  // A snapshot is all that a reader needs to be serializable, beside writers that keep their locks to the end.
  return isolation === 'serializable' && !readOnly ? 'locks' : 'snapshot';
}

/** Null: the session's own. */
const isolations: Readonly<Record<Sight, string | null>> = { statement: null, snapshot: 'REPEATABLE READ', locks: 'SERIALIZABLE' };

/**
 * A transaction that a caller drives step by step, on a connection of the pool. A statement that fails undoes itself alone in MariaDB; as in every store, only a savepoint helps after it. Where the store has ended the transaction, or the fence has, it is over.
 */
export class InteractiveTransaction implements DataTransaction {
  readonly #parts: InteractiveParts;
  readonly #session: Session;
  readonly #options: TransactionOptions;
  readonly #sight: Sight;
  #wasCommitted = false;
  #hasFailed = false;
  #isOver = false;
  /** The newest last. Names of savepoints differ by letter case only for callers. */
  #savepoints: readonly { readonly name: string; readonly serverName: string }[] = [];
  #savepointCount = 0;
  /** Tables that it holds open. */
  readonly #held = new Set<string>();

  private constructor(parts: InteractiveParts, session: Session, options: TransactionOptions) {
    this.#parts = parts;
    this.#session = session;
    this.#options = options;
    this.#sight = sightOf(options);
  }

  static async begin(parts: InteractiveParts, options: TransactionOptions, signal: AbortSignal): Promise<InteractiveTransaction> {
    const session = await parts.pool.acquire(signal);
    const transaction = new InteractiveTransaction(parts, session, options);
    try {
      await transaction.#begin(signal);
      return transaction;
    } catch (error) {
      await transaction[Symbol.asyncDispose]();
      throw error;
    }
  }

  get wasCommitted(): boolean {
    return this.#wasCommitted;
  }

  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  get isOver(): boolean {
    return this.#isOver || !this.#session.usable;
  }

  async get(table: TableSchema, operation: GetOperation, lock: RowLock | null, signal: AbortSignal): Promise<Row | null> {
    return onlyRow(table, operation, await this.#read(compileGet(table, operation, lock), lock, signal));
  }

  async batchGet(table: TableSchema, operation: BatchGetOperation, lock: RowLock | null, signal: AbortSignal): Promise<readonly (Row | null)[]> {
    if (operation.keys.length === 0) return [];
    const { read, place } = compileBatchGet(table, operation, lock);
    return place(await this.#read(read, lock, signal));
  }

  async query(table: TableSchema, operation: QueryOperation, lock: RowLock | null, signal: AbortSignal): Promise<QueryPage> {
    return pageOf(table, operation, await this.#read(compileQuery(table, operation, lock), lock, signal));
  }

  async aggregate(table: TableSchema, operation: AggregateOperation, signal: AbortSignal): Promise<readonly AggregateGroup[]> {
    return groupsOf(table, operation, await this.#read(compileAggregate(table, operation), null, signal));
  }

  async write(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[], signal: AbortSignal): Promise<readonly WriteResult[]> {
    const writes = planned(schemas, operations);
    return results(writes, await this.#guarded(() => runAll(this.#writer(signal), writes)), NOT_COMMITTED);
  }

  async savepoint(name: string, signal: AbortSignal): Promise<void> {
    this.#savepointCount += 1;
    const serverName = `s${this.#savepointCount}`;
    await this.#guarded(() => this.#step(command(`SAVEPOINT ${serverName}`), signal));
    this.#savepoints = [...this.#savepoints.filter((each) => each.name !== name), { name, serverName }];
  }

  async rollBackTo(name: string, signal: AbortSignal): Promise<void> {
    const at = this.#savepoints.findIndex((each) => each.name === name);
    const savepoint = this.#savepoints[at];
    if (savepoint === undefined) throw noSavepoint(name);
    const hadFailed = this.#hasFailed;
    this.#hasFailed = false;
    try {
      await this.#guarded(() => this.#step(command(`ROLLBACK TO SAVEPOINT ${savepoint.serverName}`), signal));
    } catch (error) {
      this.#hasFailed ||= hadFailed;
      throw error;
    }
    this.#savepoints = this.#savepoints.slice(0, at + 1);
  }

  async commit(table: string, signal: AbortSignal): Promise<void> {
    if (this.#hasFailed) throw transactionFailed();
    const { once } = this.#options;
    // Whatever comes of it, the transaction has ended.
    this.#isOver = true;
    try {
      if (once !== null) await step(this.#session, recordStatement({ ...once, table, digest: TRANSACTION_DIGEST }, new Uint8Array()), recordError, signal);
    } catch (error) {
      await this.#session.rollBack();
      throw error;
    }
    await commitTransaction(this.#session, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOver) await this.#session.rollBack();
    this.#isOver = true;
    this.#parts.pool.release(this.#session);
  }

  async #begin(signal: AbortSignal): Promise<void> {
    const { readOnly, once } = this.#options;
    if (this.#sight === 'snapshot' && !readOnly && !this.#session.isolatesSnapshots) throw noSnapshots();
    const isolation = isolations[this.#sight];
    if (isolation !== null) await this.#step(command(`SET TRANSACTION ISOLATION LEVEL ${isolation}`), signal);
    await this.#step(command(`START TRANSACTION ${readOnly ? 'READ ONLY' : 'READ WRITE'}`), signal);
    if (once !== null) this.#wasCommitted = wasCommitted(once.id, await findRecords(this.#session, once, signal));
  }

  #read(read: Read, lock: RowLock | null, signal: AbortSignal): Promise<ReadValues> {
    return this.#guarded(async () => {
      if (lock !== null || this.#sight === 'locks') {
        await this.#hold(read.table, signal);
        return await readUnfenced(this.#session, read, signal);
      }
      if (this.#sight === 'statement') return await this.#parts.fenced.read(this.#session, read, signal);
      const rows = await readUnfenced(this.#session, read, signal);
      await this.#parts.presentFence.check(read.table.name, mayRead, signal);
      return rows;
    });
  }

  #writer(signal: AbortSignal): WriteRunner {
    return {
      run: (statement, table) => this.#step(statement, signal, table),
      look: async (read) => {
        const { table } = read;
        if (this.#sight === 'statement') return await this.#parts.fenced.lookToWrite(this.#session, read, signal);
        if (this.#sight === 'locks') await this.#hold(table, signal);
        else await this.#parts.presentFence.check(table.name, mayWrite, signal);
        return await lookUnfenced(this.#session, read, signal);
      },
    };
  }

  /** Keeps the fence waiting for the transaction's end. FENCED: it has come first. */
  async #hold(table: TableSchema, signal: AbortSignal): Promise<void> {
    if (this.#held.has(table.name)) return;
    try {
      const { rows } = await this.#step({ text: holdText, values: [table.name], form: 'kept' }, signal);
      if (rows[0]?.[0] === 1) this.#held.add(table.name);
    } catch (error) {
      // A login without a right on the function is told the same as if it were not there. Then nobody fences the table.
      if (!(error instanceof SwitchyardError && isMissingFunction(error.cause))) throw error;
      if ((await this.#parts.fenced.rows(this.#session, [table.name], signal)).length > 0) throw error;
    }
  }

  #step(statement: Statement, signal: AbortSignal, table?: TableSchema) {
    return step(this.#session, statement, (error) => storeError(error, table === undefined ? {} : { table }), signal);
  }

  /** Runs work of the transaction; what the store refuses, or an abort ends, is a failure of the transaction. */
  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    if (this.#hasFailed) throw transactionFailed();
    try {
      return await work();
    } catch (error) {
      if (hasReason(error, 'ROW_NOT_FOUND', 'PRECONDITION_FAILED')) throw error;
      this.#hasFailed = true;
      // The store has rolled all of it back; or it has to let go of what the fence waits for.
      if (error instanceof SwitchyardError && (error.reason === 'FENCED' || endsTransaction(error.cause))) {
        this.#isOver = true;
        await this.#session.rollBack();
      }
      throw error;
    }
  }
}

const noSnapshots = (): SwitchyardError =>
  new SwitchyardError(
    'NOT_SUPPORTED',
    'this server keeps no snapshot that a write could not get past: use "read committed" or "serializable", or MariaDB 10.6.18, 10.11.8, 11.4.2 or newer',
  );
