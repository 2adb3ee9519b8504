import type {
  AggregateGroup,
  AggregateOperation,
  BatchGetOperation,
  GetOperation,
  IsolationLevel,
  QueryOperation,
  QueryPage,
  Row,
  RowLock,
  WriteOperation,
  WriteResult,
} from '../../../core/operation.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { DataTransaction, TransactionOptions } from '../../backend.ts';
import { noSavepoint, TRANSACTION_DIGEST, transactionFailed, wasCommitted } from '../../request-answer.ts';
import { CANCELED_STATE, sqlState, storeError } from '../errors.ts';
import { abortError } from '../../abort-error.ts';
import type { ConnectionPool } from '../../connection-pool.ts';
import type { Session, Statement } from '../session.ts';
import { compileAggregate, compileBatchGet, compileGet, compileQuery } from './compiler.ts';
import { groupsOf, onlyRow, pageOf, placedRows, planned, results } from './results.ts';
import { commitTransaction, type DoneStep, type Step } from './transaction.ts';
import { NOT_COMMITTED } from '../../write-answers.ts';
import { settleAll, stepOf } from './write.ts';
import { findStatement, recordError, recordsFromRows, recordStatement } from './write-once.ts';

const isolationText: Readonly<Record<IsolationLevel, string>> = { 'read committed': 'READ COMMITTED', 'repeatable read': 'REPEATABLE READ', serializable: 'SERIALIZABLE' };
const lockText: Readonly<Record<RowLock, string>> = { share: 'FOR SHARE', update: 'FOR UPDATE' };

/**
 * A transaction that a caller drives step by step, on a connection of the pool. No statement is kept parsed for it: within a transaction the server learns of rights that were taken away only when it parses a text, or takes a lock that it has not yet, so that
 * a text that was parsed before a cutover closed the table would still be answered after it.
 */
export class InteractiveTransaction implements DataTransaction {
  readonly #pool: ConnectionPool<Session>;
  readonly #session: Session;
  readonly #options: TransactionOptions;
  #wasCommitted = false;
  #hasFailed = false;
  #isOver = false;
  /** The newest last. The server would cut a long name and take it for another. */
  #savepoints: readonly { readonly name: string; readonly serverName: string }[] = [];
  #savepointCount = 0;
  /** Whether the store is prepared for cutovers: else nobody fences it. */
  #canHold = false;

  private constructor(pool: ConnectionPool<Session>, session: Session, options: TransactionOptions) {
    this.#pool = pool;
    this.#session = session;
    this.#options = options;
  }

  static async begin(pool: ConnectionPool<Session>, options: TransactionOptions, signal: AbortSignal): Promise<InteractiveTransaction> {
    const session = await pool.acquire(signal);
    const transaction = new InteractiveTransaction(pool, session, options);
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
    return onlyRow(table, operation, await this.#read(table, compileGet(table, operation), lock, signal));
  }

  async batchGet(table: TableSchema, operation: BatchGetOperation, lock: RowLock | null, signal: AbortSignal): Promise<readonly (Row | null)[]> {
    return placedRows(table, operation, await this.#read(table, compileBatchGet(table, operation), lock, signal, ' OF t'));
  }

  async query(table: TableSchema, operation: QueryOperation, lock: RowLock | null, signal: AbortSignal): Promise<QueryPage> {
    return pageOf(table, operation, await this.#read(table, compileQuery(table, operation), lock, signal));
  }

  async aggregate(table: TableSchema, operation: AggregateOperation, signal: AbortSignal): Promise<readonly AggregateGroup[]> {
    return groupsOf(table, operation, await this.#read(table, compileAggregate(table, operation), null, signal));
  }

  async write(schemas: ReadonlyMap<string, TableSchema>, operations: readonly WriteOperation[], signal: AbortSignal): Promise<readonly WriteResult[]> {
    const writes = planned(schemas, operations);
    const steps = await this.#run(writes.map(stepOf), signal);
    return results(writes, await settleAll(this.#session, writes, steps, signal), NOT_COMMITTED);
  }

  async savepoint(name: string, signal: AbortSignal): Promise<void> {
    this.#savepointCount += 1;
    const serverName = `s${this.#savepointCount}`;
    await this.#run([control(`SAVEPOINT ${serverName}`)], signal);
    this.#savepoints = [...this.#savepoints.filter((each) => each.name !== name), { name, serverName }];
  }

  async rollBackTo(name: string, signal: AbortSignal): Promise<void> {
    // The server would take a name that it does not know for a failure of the transaction.
    const at = this.#savepoints.findIndex((each) => each.name === name);
    const savepoint = this.#savepoints[at];
    if (savepoint === undefined) throw noSavepoint(name);
    const hadFailed = this.#hasFailed;
    this.#hasFailed = false;
    try {
      await this.#run([control(`ROLLBACK TO SAVEPOINT ${savepoint.serverName}`)], signal);
    } catch (error) {
      this.#hasFailed ||= hadFailed;
      throw error;
    }
    this.#savepoints = this.#savepoints.slice(0, at + 1);
  }

  async commit(table: string, signal: AbortSignal): Promise<void> {
    // The server would answer COMMIT with a rollback, as if that were well.
    if (this.#hasFailed) throw transactionFailed();
    const { once } = this.#options;
    const record = once === null ? [] : [{ statement: recordStatement({ ...once, table, digest: TRANSACTION_DIGEST }, new Uint8Array()), explain: recordError }];
    // Whatever comes of it, the transaction has ended.
    this.#isOver = true;
    await commitTransaction(this.#session, record, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOver) await this.#session.rollBack();
    this.#isOver = true;
    this.#pool.release(this.#session);
  }

  async #begin(signal: AbortSignal): Promise<void> {
    const { isolation, readOnly, once } = this.#options;
    const begin = control(`BEGIN ISOLATION LEVEL ${isolationText[isolation]}${readOnly ? ' READ ONLY' : ''}`);
    const record = once === null ? [] : [{ statement: unprepared(findStatement(once)), explain: recordError }];
    const [, prepared, found] = await this.#run([begin, control(`SELECT to_regprocedure('switchyard.hold_open(text)') IS NOT NULL`), ...record], signal);
    this.#canHold = prepared?.rows[0]?.[0] === 't';
    if (once !== null) this.#wasCommitted = wasCommitted(once.id, recordsFromRows(found?.rows ?? []));
  }

  async #read(table: TableSchema, statement: Statement, lock: RowLock | null, signal: AbortSignal, of = ''): Promise<DoneStep> {
    const text = lock === null ? statement.text : `${statement.text} ${lockText[lock]}${of}`;
    const explain = (error: unknown) => storeError(error, { table });
    const { isolation, readOnly } = this.#options;
    // What it has read may not change before it commits: so a fence waits for it as for a writer, or has come first and refuses it.
    const counts = lock !== null || (isolation === 'serializable' && !readOnly);
    const asWriter = counts && this.#canHold ? [{ statement: { text: 'SELECT switchyard.hold_open($1)', values: [table.name], prepared: false }, explain }] : [];
    const step = (await this.#run([...asWriter, { statement: unprepared({ ...statement, text }), explain }], signal)).at(-1);
    if (step === undefined) throw new SwitchyardError('INTERNAL', 'a read has no answer');
    return step;
  }

  async #run(steps: readonly Step[], signal: AbortSignal): Promise<readonly DoneStep[]> {
    if (this.#hasFailed) throw transactionFailed();
    const { outcomes } = await this.#session.run(
      steps.map(({ statement }) => unprepared(statement)),
      signal,
    );
    if (outcomes === null) throw abortError(signal);
    const at = outcomes.findIndex((outcome) => !outcome.ok);
    const failure = outcomes[at];
    if (failure === undefined || failure.ok) return outcomes.filter((outcome) => outcome.ok);
    this.#hasFailed = true;
    if (signal.aborted && sqlState(failure.error) === CANCELED_STATE) throw abortError(signal);
    throw (steps[at]?.explain ?? storeError)(failure.error);
  }
}

const unprepared = (statement: Statement): Statement => ({ ...statement, prepared: false });

const control = (text: string): Step => ({ statement: { text, values: [], prepared: false }, explain: (error) => storeError(error) });
