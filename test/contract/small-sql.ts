import type { Cell } from '../../core/cell.ts';

/* As much of SQL as the suites speak by hand: a parser of a few statements and an evaluator of expressions on one row. */

export type Expression =
  | { readonly kind: 'literal'; readonly value: Cell }
  | { readonly kind: 'column'; readonly name: string }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] }
  | { readonly kind: 'binary'; readonly operator: string; readonly left: Expression; readonly right: Expression };

export type Source = { readonly kind: 'table'; readonly name: string } | { readonly kind: 'series'; readonly count: number };

export interface Select {
  readonly expressions: readonly Expression[];
  readonly from: Source;
  readonly where: Expression | null;
  readonly orderBy: string | null;
}

export type Statement =
  | { readonly kind: 'begin'; readonly isSnapshot: boolean }
  | { readonly kind: 'commit' | 'rollback' | 'nothing' | 'drop-own' }
  | { readonly kind: 'savepoint' | 'rollback-to' }
  | { readonly kind: 'hold-stream'; readonly id: string }
  | {
      readonly kind: 'insert';
      readonly table: string;
      readonly columns: readonly string[];
      readonly rows: readonly (readonly Expression[])[] | null;
      readonly select: Select | null;
      readonly ignoresConflicts: boolean;
    }
  | { readonly kind: 'update'; readonly table: string; readonly set: ReadonlyMap<string, Expression>; readonly where: Expression | null }
  | { readonly kind: 'delete'; readonly table: string; readonly where: Expression | null }
  | ({ readonly kind: 'select' } & Select)
  | { readonly kind: 'create'; readonly table: string; readonly columns: readonly string[]; readonly hasKey: boolean; readonly ifMissing: boolean }
  | { readonly kind: 'add-column'; readonly table: string; readonly column: string }
  | { readonly kind: 'grant' | 'revoke'; readonly rights: readonly string[]; readonly table: string; readonly to: string };

const tokenPattern = /\s*('(?:[^']|'')*'|\d+(?:\.\d+)?|[A-Za-z_][\w.]*|\|\||<>|[-+*=<>(),;])/y;

/** Throws where a statement is none of those that it knows. */
export function parseSql(sql: string): readonly Statement[] {
  return new Parser(sql).statements();
}

class Parser {
  readonly #sql: string;
  readonly #tokens: string[] = [];
  #at = 0;

  constructor(sql: string) {
    this.#sql = sql;
    tokenPattern.lastIndex = 0;
    while (tokenPattern.lastIndex < sql.trimEnd().length) {
      const match = tokenPattern.exec(sql);
      if (match === null) throw new Error(`no such SQL here: ${sql}`);
      this.#tokens.push(match[1] ?? '');
    }
  }

  statements(): readonly Statement[] {
    const found: Statement[] = [];
    while (this.#at < this.#tokens.length) {
      if (this.#take(';')) continue;
      found.push(this.#statement());
    }
    return found;
  }

  #statement(): Statement {
    const word = this.#next().toUpperCase();
    switch (word) {
      case 'BEGIN': {
        const rest = this.#skipToEnd();
        return { kind: 'begin', isSnapshot: rest.includes('REPEATABLE') || rest.includes('SERIALIZABLE') };
      }
      case 'COMMIT':
        return { kind: 'commit' };
      case 'ROLLBACK':
        return { kind: this.#skipToEnd().includes('TO') ? 'rollback-to' : 'rollback' };
      case 'SAVEPOINT':
        this.#skipToEnd();
        return { kind: 'savepoint' };
      case 'SET':
        this.#skipToEnd();
        return { kind: 'nothing' };
      case 'DROP_OWN':
        return { kind: 'drop-own' };
      case 'HOLD_STREAM':
        return { kind: 'hold-stream', id: String(this.#literal()) };
      case 'INSERT':
        return this.#insert();
      case 'UPDATE':
        return this.#update();
      case 'DELETE':
        this.#expect('FROM');
        return { kind: 'delete', table: this.#next(), where: this.#where() };
      case 'SELECT':
        return { kind: 'select', ...this.#select() };
      case 'CREATE':
        return this.#create();
      case 'ALTER': {
        this.#expect('TABLE');
        const table = this.#next();
        this.#expect('ADD', 'COLUMN');
        const column = this.#next();
        this.#skipToEnd();
        return { kind: 'add-column', table, column };
      }
      case 'GRANT':
      case 'REVOKE':
        return this.#rights(word === 'GRANT' ? 'grant' : 'revoke');
      default:
        throw new Error(`no such statement here: ${this.#sql}`);
    }
  }

  #insert(): Statement {
    this.#expect('INTO');
    const table = this.#next();
    const columns = this.#take('(') ? this.#list(() => this.#next(), ')') : [];
    let rows: (readonly Expression[])[] | null = null;
    let select: Select | null = null;
    if (this.#take('SELECT')) select = this.#select();
    else {
      this.#expect('VALUES');
      rows = [];
      do {
        this.#expect('(');
        rows.push(this.#list(() => this.#expression(), ')'));
      } while (this.#take(','));
    }
    const ignoresConflicts = this.#take('ON');
    if (ignoresConflicts) this.#expect('CONFLICT', 'DO', 'NOTHING');
    return { kind: 'insert', table, columns, rows, select, ignoresConflicts };
  }

  #update(): Statement {
    const table = this.#next();
    this.#expect('SET');
    const set = new Map<string, Expression>();
    do {
      const column = this.#next();
      this.#expect('=');
      set.set(column, this.#expression());
    } while (this.#take(','));
    return { kind: 'update', table, set, where: this.#where() };
  }

  #select(): Select {
    const expressions = this.#list(() => this.#expression(), 'FROM');
    const name = this.#next();
    let from: Source = { kind: 'table', name };
    if (name === 'series') {
      this.#expect('(');
      from = { kind: 'series', count: Number(this.#literal()) };
      this.#expect(')');
    }
    const where = this.#where();
    if (!this.#take('ORDER')) return { expressions, from, where, orderBy: null };
    this.#expect('BY');
    return { expressions, from, where, orderBy: this.#next() };
  }

  #create(): Statement {
    this.#expect('TABLE');
    const ifMissing = this.#take('IF');
    if (ifMissing) this.#expect('NOT', 'EXISTS');
    const table = this.#next();
    this.#expect('(');
    const text = this.#skipTo(')');
    const [column = ''] = text;
    return { kind: 'create', table, columns: [column], hasKey: text.includes('PRIMARY'), ifMissing };
  }

  #rights(kind: 'grant' | 'revoke'): Statement {
    const rights = this.#list(() => this.#next(), 'ON');
    const table = this.#next();
    this.#expect(kind === 'grant' ? 'TO' : 'FROM');
    return { kind, rights, table, to: this.#next() };
  }

  #where(): Expression | null {
    return this.#take('WHERE') ? this.#expression() : null;
  }

  #expression(level = 0): Expression {
    const levels = [['AND'], ['=', '<', '>', '<>'], ['+', '-', '||'], ['*']];
    const operators = levels[level];
    if (operators === undefined) return this.#primary();
    let left = this.#expression(level + 1);
    for (;;) {
      const operator = operators.find((each) => this.#take(each));
      if (operator === undefined) return left;
      left = { kind: 'binary', operator, left, right: this.#expression(level + 1) };
    }
  }

  #primary(): Expression {
    if (this.#take('(')) {
      const inner = this.#expression();
      this.#expect(')');
      return inner;
    }
    const token = this.#next();
    if (token === '*') return { kind: 'literal', value: 1n };
    if (token === '-') return { kind: 'binary', operator: '-', left: { kind: 'literal', value: 0n }, right: this.#primary() };
    if (token.startsWith("'") || /^\d/.test(token)) {
      this.#at -= 1;
      return { kind: 'literal', value: this.#literal() };
    }
    if (/^(NULL|TRUE|FALSE)$/i.test(token)) return { kind: 'literal', value: token.toUpperCase() === 'NULL' ? null : token.toUpperCase() === 'TRUE' };
    if (this.#take('(')) return { kind: 'call', name: token, args: this.#list(() => this.#expression(), ')') };
    return { kind: 'column', name: token };
  }

  #literal(): Cell {
    const token = this.#next();
    if (token.startsWith("'")) return token.slice(1, -1).replaceAll("''", "'");
    return token.includes('.') ? token : BigInt(token);
  }

  #list<T>(read: () => T, end: string): readonly T[] {
    const items = [read()];
    while (this.#take(',')) items.push(read());
    this.#expect(end);
    return items;
  }

  #next(): string {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw new Error(`it ends too early: ${this.#sql}`);
    this.#at += 1;
    return token;
  }

  #take(token: string): boolean {
    if (this.#tokens[this.#at]?.toUpperCase() !== token) return false;
    this.#at += 1;
    return true;
  }

  #expect(...tokens: readonly string[]): void {
    for (const token of tokens) if (!this.#take(token)) throw new Error(`"${token}" is missing in ${this.#sql}`);
  }

  #skipToEnd(): readonly string[] {
    const from = this.#at;
    while (this.#at < this.#tokens.length && this.#tokens[this.#at] !== ';') this.#at += 1;
    return this.#tokens.slice(from, this.#at);
  }

  /** To the parenthesis that closes what is open. */
  #skipTo(end: string): readonly string[] {
    const from = this.#at;
    while (this.#next() !== end);
    return this.#tokens.slice(from, this.#at - 1);
  }
}

/** The value of an expression on one row. */
export function evaluate(expression: Expression, row: (column: string) => Cell): Cell {
  switch (expression.kind) {
    case 'literal':
      return expression.value;
    case 'column':
      return row(expression.name);
    case 'call':
      return call(
        expression.name,
        expression.args.map((each) => evaluate(each, row)),
      );
    case 'binary':
      return operate(expression.operator, evaluate(expression.left, row), evaluate(expression.right, row));
  }
}

function call(name: string, [first = null, second = null]: readonly Cell[]): Cell {
  if (name === 'text32') return String(first).padStart(32, '0');
  if (name === 'repeat') return String(first).repeat(Number(second));
  if (name === 'length') return BigInt(String(first).length);
  throw new Error(`no such function here: ${name}`);
}

function operate(operator: string, left: Cell, right: Cell): Cell {
  switch (operator) {
    case 'AND':
      return left === true && right === true;
    case '=':
      return left !== null && right !== null && String(left) === String(right);
    case '||':
      return `${left}${right}`;
    case '+':
      return BigInt(left as bigint) + BigInt(right as bigint);
    case '-':
      return typeof right === 'string' ? `-${right}` : BigInt(left as bigint) - BigInt(right as bigint);
    default:
      throw new Error(`no such operator here: ${operator}`);
  }
}
