import { type Position, position } from '../../../core/ids.ts';
import { SwitchyardError } from '../../../core/switchyard-error.ts';
import type { TableSchema } from '../../../core/table-schema.ts';
import type { StreamSpec } from '../../backend.ts';
import { logLostText } from '../../lost-log.ts';
import { errorNumber } from '../errors.ts';
import { LOG_TABLE } from '../owner/store-sql.ts';
import { named } from '../schema.ts';
import { describe, type Statements } from '../store-client.ts';
import { type ByteTable, Charsets } from './binlog/charsets.ts';
import { GtidPosition } from './binlog/gtid-position.ts';
import { unreadableCharset } from './binlog/log-cells.ts';
import { LogFault } from './binlog/log-fault.ts';
import { type ColumnFacts, formOfFacts } from './binlog/wire-forms.ts';

/** A table of the stream as its log must describe it. */
export interface TableShape {
  readonly schema: TableSchema;
  /** Name and form of every column, in order. */
  readonly columns: readonly { readonly name: string; readonly form: string }[];
}

/** What is to be known of the server before its log is read. */
export interface LogGround {
  readonly shapes: ReadonlyMap<string, TableShape>;
  readonly charsets: Charsets;
  /** Up to where nobody wants the stream's log any more, as it is written down. */
  readonly confirmed: Position;
}

const NO_TABLE = 1146;
const NO_COLUMN = 1054;

/** STREAM_FAILED where the stream cannot be followed from there without loss: see `LogProblem`. */
export async function readGround(statements: Statements, stream: StreamSpec, schemas: ReadonlyMap<string, TableSchema>, from: Position, signal: AbortSignal): Promise<LogGround> {
  const begin = GtidPosition.parse(from);
  const confirmed = await confirmedPosition(statements, stream, signal);
  if (!begin.isAtOrBehind(GtidPosition.parse(confirmed))) throw logLost(`it begins at ${confirmed}, which is behind ${from}`);
  const [[end] = []] = (await statements.query('SELECT @@GLOBAL.gtid_binlog_pos', [], signal)).rows;
  // A server whose log was thrown away would wait in silence until it has as many transactions again.
  if (!GtidPosition.parse(String(end)).isAtOrBehind(begin)) throw logLost(`it ends at ${end}, before ${from}: it was thrown away, or is that of another server`);
  await checkSettings(statements, signal);
  const facts = await readFacts(statements, stream, signal);
  const shapes = new Map<string, TableShape>();
  for (const table of stream.tables) shapes.set(table, shapeOf(await presentSchema(statements, table, schemas.get(table), signal), facts.get(table) ?? []));
  await refuseCascades(statements, stream, signal);
  return { shapes, charsets: await readCharsets(statements, shapes, facts, signal), confirmed };
}

export const logLost = (why: string): LogFault => new LogFault('LOG_LOST', logLostText('of the stream', why));

/** Up to where nobody wants the stream's log any more. */
async function confirmedPosition(statements: Statements, stream: StreamSpec, signal: AbortSignal): Promise<Position> {
  try {
    const [row] = (await statements.query(`SELECT position FROM ${LOG_TABLE} WHERE stream = ?`, [stream.id], signal)).rows;
    if (row === undefined) throw logLost('it has been let go');
    return position(String(row[0]));
  } catch (error) {
    if (error instanceof SwitchyardError && errorNumber(error.cause) === NO_TABLE) throw logLost('the store was never prepared');
    throw error;
  }
}

/** What the server's settings leave out of the log leaves no trace there. (A session may have settings of its own; what those leave out is seen in the log, but for `sql_log_bin`.) */
async function checkSettings(statements: Statements, signal: AbortSignal): Promise<void> {
  const incomplete = (what: string, fix: string): LogFault => new LogFault('LOG_INCOMPLETE', `the server's log lacks changes or what makes them exact: ${what}`, { fix });
  const [values = []] = (await statements.query('SELECT @@log_bin, @@GLOBAL.binlog_format, @@GLOBAL.binlog_row_image, @@GLOBAL.binlog_row_metadata, DATABASE()', [], signal)).rows;
  const [logs, format, image, metadata, database] = values.map(String);
  if (logs !== '1') throw incomplete('it keeps none', 'set log_bin in its option file');
  if (format !== 'ROW') throw incomplete(`binlog_format is ${format}`, 'SET GLOBAL binlog_format = ROW');
  if (image !== 'FULL') throw incomplete(`binlog_row_image is ${image}`, 'SET GLOBAL binlog_row_image = FULL');
  if (metadata !== 'FULL') throw incomplete(`binlog_row_metadata is ${metadata}`, 'SET GLOBAL binlog_row_metadata = FULL');
  const [, , only = '', but = ''] = ((await statements.command('SHOW MASTER STATUS', signal)).rows[0] ?? []).map(String);
  const names = (list: string): readonly string[] => (list === '' ? [] : list.split(','));
  if (names(but).includes(database ?? '')) throw incomplete('binlog_ignore_db names the database', 'take it out of the option file and restart the server');
  if (only !== '' && !names(only).includes(database ?? '')) throw incomplete('binlog_do_db does not name the database', 'add it in the option file and restart the server');
}

/** SCHEMA_CHANGED: the table is not as the stream knows it. */
async function presentSchema(statements: Statements, table: string, schema: TableSchema | undefined, signal: AbortSignal): Promise<TableSchema> {
  const present = await describe(statements, table, signal);
  if (schema !== undefined && present?.fingerprint === schema.fingerprint) return schema;
  const what = present === null ? 'is gone' : 'has changed its shape since the stream was made';
  throw new LogFault('SCHEMA_CHANGED', `table "${table}" ${what}: undo the change, or create the workflow anew`, { table });
}

const shapeOf = (schema: TableSchema, facts: readonly ColumnFacts[]): TableShape => ({
  schema,
  columns: facts.map((column) => ({ name: column.name, form: formOfFacts(column) })),
});

async function readFacts(statements: Statements, stream: StreamSpec, signal: AbortSignal): Promise<ReadonlyMap<string, readonly ColumnFacts[]>> {
  const text = `SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION FROM information_schema.COLUMNS
    WHERE TABLE_SCHEMA = DATABASE() AND ${named('TABLE_NAME')} ORDER BY ORDINAL_POSITION`;
  const facts = new Map<string, readonly ColumnFacts[]>();
  for (const table of stream.tables) {
    const { rows } = await statements.query(text, [table, table], signal);
    facts.set(
      table,
      rows.map(([name, dataType, columnType, charset, octets, precision, scale, fraction]) => ({
        name: String(name),
        dataType: String(dataType).toLowerCase(),
        columnType: String(columnType),
        charset: charset === null ? null : String(charset),
        octets: Number(octets ?? 0),
        precision: Number(precision ?? 0),
        scale: Number(scale ?? 0),
        fraction: Number(fraction ?? 0),
      })),
    );
    const old = facts.get(table)?.find(({ columnType }) => columnType.includes('mariadb-5.3'));
    if (old !== undefined)
      throw new LogFault('SCHEMA_CHANGED', `column "${old.name}" of table "${table}" has times in the form that they had before MariaDB 10.1, which the log does not describe`, {
        table,
        fix: 'SET GLOBAL mysql56_temporal_format = ON, and ALTER TABLE … FORCE',
      });
  }
  return facts;
}

/** What the engine itself does to rows for a foreign key is not in the log. */
async function refuseCascades(statements: Statements, stream: StreamSpec, signal: AbortSignal): Promise<void> {
  const text = `SELECT TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE, UPDATE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = DATABASE()
    AND (DELETE_RULE NOT IN ('RESTRICT', 'NO ACTION') OR UPDATE_RULE NOT IN ('RESTRICT', 'NO ACTION'))`;
  const { rows } = await statements.query(text, [], signal);
  const row = rows.find(([table]) => stream.tables.includes(String(table)));
  if (row === undefined) return;
  const [table, key, onDelete, onUpdate] = row.map(String);
  throw new LogFault('LOG_INCOMPLETE', `foreign key "${key}" of table "${table}" changes rows by itself (ON DELETE ${onDelete} ON UPDATE ${onUpdate}), which is not in the log`, {
    table: table ?? '',
    fix: 'make it anew with RESTRICT, and let the application change the rows',
  });
}

async function readCharsets(
  statements: Statements,
  shapes: ReadonlyMap<string, TableShape>,
  facts: ReadonlyMap<string, readonly ColumnFacts[]>,
  signal: AbortSignal,
): Promise<Charsets> {
  const ofCollation = new Map((await collations(statements, signal)).map(([id, name]) => [Number(id), String(name)]));
  const charsets = new Charsets(ofCollation, await byteTables(statements, signal));
  for (const [table, { schema }] of shapes) {
    const unreadable = facts.get(table)?.find(({ charset }) => charset !== null && charsets.decoderOf(charset) === null);
    const column = schema.columns.find(({ name }) => name === unreadable?.name);
    if (column !== undefined && unreadable !== undefined) throw unreadableCharset(column, unreadable.charset);
  }
  return charsets;
}

async function collations(statements: Statements, signal: AbortSignal): Promise<readonly (readonly unknown[])[]> {
  try {
    return (await statements.query('SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY', [], signal)).rows;
  } catch (error) {
    // Before MariaDB 10.10 a collation has one number, whatever set it is used for.
    if (!(error instanceof SwitchyardError) || errorNumber(error.cause) !== NO_COLUMN) throw error;
    return (await statements.query('SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS', [], signal)).rows;
  }
}

/** Of every set with one byte a character, the characters of all bytes in turn: any of them may be that of a statement's session. */
async function byteTables(statements: Statements, signal: AbortSignal): Promise<ReadonlyMap<string, ByteTable>> {
  const { rows } = await statements.query(
    `SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS WHERE MAXLEN = 1 AND CHARACTER_SET_NAME NOT IN ('binary', 'ascii')`,
    [],
    signal,
  );
  const names = rows.map(([name]) => String(name));
  const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).toString('hex');
  // The names are the server's own words.
  const [texts = []] = (await statements.command(`SELECT ${names.map((name) => `CONVERT(CONVERT(UNHEX('${all}') USING ${name}) USING utf8mb4)`).join(', ')}`, signal)).rows;
  return new Map(names.map((name, at) => [name, [...String(texts[at])]]));
}
