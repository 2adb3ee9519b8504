import { type Cell, keyText } from '../../core/cell.ts';
import { attempt, position, streamToken } from '../../core/ids.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { Connection } from '../simulation/kernel/connection.ts';
import type { Relation } from '../simulation/store/engine.ts';
import { checkWrite, keyOfRow, newRow, readRows, rowsOf, tableOf, type WholeRow } from '../simulation/store/rows.ts';
import type { StoreSession } from '../simulation/store/session.ts';
import type { StoreLink } from '../simulation/store/store-link.ts';
import { type Isolation, type Role, StoreRefusal, type Transaction } from '../simulation/store/transaction.ts';
import type { RawSession } from './move-stores.ts';
import { evaluate, type Expression, parseSql, type Select, type Statement } from './small-sql.ts';

type TextRow = readonly (string | null)[];
const owns: Readonly<Record<string, Relation>> = { own_fence: 'fence', own_stream: 'stream', own_marker: 'marker', own_request: 'request' };
const never = new AbortController().signal;

/** SQL by hand on the simulated store: what any session may do, row by row, under the same locks, rights and triggers as a gateway's statements. */
export class SimulatedSession implements RawSession {
  readonly #link: StoreLink;
  readonly #role: Role;
  #connection: Connection<StoreSession>;
  #isOpen = false;
  #savepoint: { readonly writes: ReadonlyMap<Relation, ReadonlyMap<string, unknown>>; readonly events: number } | null = null;

  constructor(link: StoreLink, role: Role) {
    this.#link = link;
    this.#role = role;
    this.#connection = link.connect();
  }

  async query(sql: string): Promise<readonly TextRow[]> {
    let rows: readonly TextRow[] = [];
    for (const statement of parseSql(sql)) rows = await this.#statement(statement);
    return rows;
  }

  async close(): Promise<void> {
    this.#connection.drop();
  }

  async #statement(statement: Statement): Promise<readonly TextRow[]> {
    switch (statement.kind) {
      case 'nothing':
        return [];
      case 'begin':
        return this.#begin(statement.isSnapshot ? 'repeatable read' : 'read committed');
      case 'commit':
        await this.#send((session) => session.commit(async () => {}));
        this.#isOpen = false;
        return [];
      case 'rollback':
        await this.#send((session) => session.rollBack());
        this.#isOpen = false;
        return [];
      default: {
        const act = (transaction: Transaction): Promise<readonly TextRow[]> => this.#execute(transaction, statement);
        return this.#send((session) => (this.#isOpen ? session.continue(act) : session.run(this.#role, act)));
      }
    }
  }

  async #begin(isolation: Isolation): Promise<readonly TextRow[]> {
    await this.#send((session) => session.begin(this.#role, isolation, async () => {}));
    this.#isOpen = true;
    return [];
  }

  /** Rejects with the store's own refusal. */
  async #send<T>(work: (session: StoreSession) => Promise<T>): Promise<T> {
    try {
      return await this.#connection.send(work, { signal: never, onAbort: 'cancel' });
    } catch (error) {
      this.#isOpen = false;
      throw error;
    }
  }

  async #execute(transaction: Transaction, statement: Statement): Promise<readonly TextRow[]> {
    const { server } = this.#link;
    switch (statement.kind) {
      case 'select':
        return select(await this.#rows(transaction, statement), statement);
      case 'insert': {
        await this.#beginWrite(transaction, statement.table, 'INSERT');
        const made =
          statement.rows?.map((row) => row.map((each) => evaluate(each, () => null))) ??
          selected(await this.#rows(transaction, statement.select as Select), statement.select as Select);
        for (const cells of made) await insertRow(transaction, statement.table, statement.columns, cells);
        return [];
      }
      case 'update':
      case 'delete':
        if (statement.table in owns) changeOwn(transaction, statement);
        else {
          await this.#beginWrite(transaction, statement.table, statement.kind === 'update' ? 'UPDATE' : 'DELETE');
          await changeRows(transaction, statement);
        }
        return [];
      case 'savepoint':
        this.#savepoint = { writes: new Map([...transaction.writes].map(([relation, rows]) => [relation, new Map(rows)])), events: transaction.events.length };
        return [];
      case 'rollback-to': {
        const { writes, events } = this.#savepoint ?? { writes: new Map(), events: 0 };
        transaction.writes.clear();
        for (const [relation, rows] of writes) transaction.writes.set(relation, new Map(rows));
        transaction.events.length = events;
        return [];
      }
      case 'create':
        createTable(transaction, statement);
        return [];
      case 'add-column': {
        await transaction.lockTable(statement.table, 'drain');
        const table = tableOf(transaction, statement.table);
        const more = { name: statement.column, kind: 'text' as const, nullable: true, hasDefault: false, generated: false, nativeType: 'text' };
        transaction.put('table', table.name, { ...table, columns: [...table.columns, more], fingerprint: `${table.fingerprint}+${statement.column}` });
        return [];
      }
      case 'grant':
      case 'revoke': {
        const key = statement.to === 'PUBLIC' ? `PUBLIC ${statement.table}` : statement.table;
        transaction.put('acl', key, statement.kind === 'grant' ? statement.rights : []);
        return [];
      }
      case 'hold-stream':
        await transaction.lockRow('stream', statement.id, 'exclusive');
        return [];
      case 'drop-own':
        for (const relation of ['fence', 'stream', 'copy', 'marker', 'request', 'rights', 'installation'] as const)
          for (const [key] of transaction.scan(relation)) transaction.put(relation, key, null);
        return [];
      default:
        throw new Error(`${server.place} cannot do ${statement.kind}`);
    }
  }

  async #rows(transaction: Transaction, { from, where }: Select): Promise<readonly ((column: string) => Cell)[]> {
    if (from.kind === 'series') return Array.from({ length: from.count }, (_, at) => () => BigInt(at + 1));
    const own = owns[from.name];
    if (own !== undefined) {
      transaction.beginStatement();
      return transaction.scan<object>(own).map(
        ([, row]) =>
          (column) =>
            String((row as Record<string, unknown>)[column] ?? ''),
      );
    }
    const rows = await readRows(this.#link.server, transaction, from.name);
    const table = tableOf(transaction, from.name);
    return [...rows.values()].map((row) => cellOf(table, row)).filter((cell) => where === null || evaluate(where, cell) === true);
  }

  async #beginWrite(transaction: Transaction, table: string, right: string): Promise<void> {
    await transaction.lockTable(table, 'writer');
    tableOf(transaction, table);
    const rights = transaction.readNewest<readonly string[]>('acl', table) ?? [];
    if (this.#role === 'gateway' && !rights.includes(right)) throw new StoreRefusal('insufficient_privilege', `permission denied for table ${table}`);
    transaction.beginStatement();
    await checkWrite(this.#link.server, transaction, table);
  }
}

const cellOf =
  (table: TableSchema, row: WholeRow) =>
  (column: string): Cell =>
    row[table.columns.findIndex((each) => each.name === column)] ?? null;

async function insertRow(transaction: Transaction, name: string, columns: readonly string[], cells: readonly Cell[]): Promise<void> {
  const table = tableOf(transaction, name);
  const named = columns.length === 0 ? table.columns.map((column) => column.name) : columns;
  const row = newRow(transaction, table, { columns: named, cells });
  const key = keyText(keyOfRow(table, row));
  await transaction.lockRow(rowsOf(name), key, 'exclusive');
  if (transaction.readNewest(rowsOf(name), key) !== undefined) throw new StoreRefusal('unique_violation', `duplicate key ${key}`);
  transaction.put(rowsOf(name), key, row);
  transaction.log({ event: { kind: 'insert', table: name, row } });
}

async function changeRows(transaction: Transaction, statement: Extract<Statement, { kind: 'update' | 'delete' }>): Promise<void> {
  const table = tableOf(transaction, statement.table);
  const rows = rowsOf(statement.table);
  for (const [key, before] of transaction.scan<WholeRow>(rows)) {
    if (statement.where !== null && evaluate(statement.where, cellOf(table, before)) !== true) continue;
    await transaction.lockRow(rows, key, 'exclusive');
    const newest = transaction.readNewest<WholeRow>(rows, key);
    if (newest === undefined || (statement.where !== null && evaluate(statement.where, cellOf(table, newest)) !== true)) continue;
    const oldKey = keyOfRow(table, newest);
    if (statement.kind === 'delete') {
      transaction.put(rows, key, null);
      transaction.log({ event: { kind: 'delete', table: table.name, key: oldKey } });
      continue;
    }
    const row = table.columns.map((column) => changedCell(statement.set.get(column.name), cellOf(table, newest), column.name));
    const newKey = keyText(keyOfRow(table, row));
    if (newKey !== key) {
      await transaction.lockRow(rows, newKey, 'exclusive');
      transaction.put(rows, key, null);
    }
    transaction.put(rows, newKey, row);
    transaction.log({ event: { kind: 'update', table: table.name, row, oldKey: newKey === key ? null : oldKey } });
  }
}

const changedCell = (expression: Expression | undefined, cell: (column: string) => Cell, column: string): Cell =>
  expression === undefined ? cell(column) : evaluate(expression, cell);

/** One of Switchyard's own tables, by the hand of its owner. */
function changeOwn(transaction: Transaction, statement: Extract<Statement, { kind: 'update' | 'delete' }>): void {
  const relation = owns[statement.table] as Relation;
  transaction.beginStatement();
  for (const [key, row] of transaction.scan<object>(relation)) {
    const cell = (column: string): Cell => (column === 'table_name' ? key : null);
    if (statement.where !== null && evaluate(statement.where, cell) !== true) continue;
    if (statement.kind === 'delete') {
      transaction.put(relation, key, null);
      continue;
    }
    const changed: Record<string, unknown> = { ...row };
    for (const [column, expression] of statement.set) {
      const value = evaluate(expression, cell);
      changed[column] = column === 'attempt' ? attempt(Number(value)) : column === 'token' ? streamToken(Number(value)) : column === 'position' ? position(String(value)) : value;
    }
    transaction.put(relation, key, changed);
  }
}

function createTable(transaction: Transaction, { table, columns, hasKey, ifMissing }: Extract<Statement, { kind: 'create' }>): void {
  if (ifMissing && transaction.readNewest('table', table) !== undefined) return;
  const shape = columns.map((name) => ({ name, kind: 'int32' as const, nullable: false, hasDefault: false, generated: false, nativeType: 'int' }));
  transaction.put('table', table, { name: table, columns: shape, primaryKey: hasKey ? columns : [], uniqueKeys: [], fingerprint: `${table}/1` } satisfies TableSchema);
}

function selected(rows: readonly ((column: string) => Cell)[], { expressions }: Select): readonly (readonly Cell[])[] {
  if (!expressions.some(isAggregate)) return rows.map((row) => expressions.map((each) => evaluate(each, row)));
  return [
    expressions.map((each) => {
      if (each.kind !== 'call') throw new Error('an aggregate beside a column');
      const values = rows.map((row) => evaluate(each.args[0] as Expression, row)).filter((value) => value !== null);
      if (each.name === 'count') return BigInt(values.length);
      if (values.length === 0) return null;
      const numbers = values.map((value) => BigInt(value as bigint));
      if (each.name === 'sum') return numbers.reduce((a, b) => a + b);
      return numbers.toSorted((a, b) => (a < b ? -1 : 1)).at(-1) ?? null;
    }),
  ];
}

const isAggregate = (expression: Expression): boolean => expression.kind === 'call' && ['count', 'max', 'sum'].includes(expression.name);

function select(rows: readonly ((column: string) => Cell)[], statement: Select): readonly TextRow[] {
  const { orderBy } = statement;
  const ordered = orderBy === null ? rows : rows.toSorted((a, b) => ((a(orderBy) ?? '') < (b(orderBy) ?? '') ? -1 : 1));
  return selected(ordered, statement).map((cells) => cells.map((cell) => (cell === null ? null : String(cell))));
}
