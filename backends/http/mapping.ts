import { z } from 'zod';
import type { ScalarKind } from '../../core/cell.ts';
import { errorCatalogue, type ErrorReason } from '../../core/error-catalogue.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { ConfigError, loadConfig } from '../../runtime/config-file.ts';

const kinds = [
  'bool',
  'int16',
  'int32',
  'int64',
  'uint64',
  'float32',
  'float64',
  'decimal',
  'text',
  'bytes',
  'uuid',
  'date',
  'time',
  'timestamp',
  'timestamptz',
  'json',
  'enum',
] as const satisfies readonly ScalarKind[];
const reasons = Object.keys(errorCatalogue) as [ErrorReason, ...ErrorReason[]];
/** As it is sent, but for columns in braces, whose values are encoded. */
const path = z.string().regex(/^\/(?:[!"$->@-z|~]|\{[^{}?#\s]*\})*$/, 'must be a path that begins with "/", of visible ASCII characters and without a query');
/** A call with other headers could not be sent. */
const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, 'must be the name of a header');
const headerValue = z.string().regex(/^[ -~]*$/, 'must be of visible ASCII characters and blanks');
const name = z.string().min(1).max(128);

/** One call of a table: where a path has `{column}`, the value of that column of the key stands, percent-encoded. */
const callSchema = z.strictObject({
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
  path,
  /** Member of the answer that the row is in; left out: the answer is the row. Of a write whose answer has none: "none". */
  row: name.optional(),
});

const listSchema = z.strictObject({
  method: z.enum(['GET']).default('GET'),
  path,
  /** Member of the answer that the rows are in; left out: the answer is a list of rows. */
  rows: name.optional(),
  /** Query parameters that ask for rows whose column has a value, by column. */
  filters: z.record(name, name).default({}),
  /** Query parameter that bounds the rows of an answer. */
  limit: name.optional(),
  /** Query parameter behind whose value, of the key, the rows begin. The rows must come in order of the key then, which is one column. */
  after: name.optional(),
});

const columnSchema = z.strictObject({
  type: z.enum(kinds),
  /** The row's member; left out: the column's name. */
  field: name.optional(),
  nullable: z.boolean().default(false),
  /** The service fills it where an insert leaves it out. */
  hasDefault: z.boolean().default(false),
  /** The service alone writes it. */
  readOnly: z.boolean().default(false),
});

const tableSchema = z
  .strictObject({
    columns: z.record(name, columnSchema),
    primaryKey: z.array(name).min(1),
    get: callSchema,
    list: listSchema.optional(),
    insert: callSchema.optional(),
    upsert: callSchema.optional(),
    update: callSchema.optional(),
    delete: callSchema.optional(),
  })
  .superRefine((table, context) => {
    const known = (column: string, at: readonly (string | number)[]): void => {
      if (!Object.hasOwn(table.columns, column)) context.addIssue({ code: 'custom', path: [...at], message: `"${column}" is none of the columns` });
    };
    table.primaryKey.forEach((column, index) => {
      known(column, ['primaryKey', index]);
    });
    for (const column of Object.keys(table.list?.filters ?? {})) known(column, ['list', 'filters', column]);
    for (const call of ['get', 'insert', 'upsert', 'update', 'delete'] as const) {
      const names = [...(table[call]?.path ?? '').matchAll(/\{([^}]*)\}/g)].map(([, inPath = '']) => inPath);
      const stray = names.find((inPath) => !table.primaryKey.includes(inPath));
      if (stray !== undefined) context.addIssue({ code: 'custom', path: [call, 'path'], message: `"{${stray}}" is no column of the primary key` });
    }
    if (table.list?.after !== undefined && table.primaryKey.length !== 1)
      context.addIssue({ code: 'custom', path: ['list', 'after'], message: 'goes with a primary key of one column only' });
  });

/** How an existing REST service is called: docs/remote-stores.md. */
export const mappingSchema = z.strictObject({
  /** Stands before every path. */
  base: path.optional(),
  /** Sent with every call. No secrets: those are the gateway's credential. */
  headers: z.record(headerName, headerValue).default({}),
  /** What the service's own statuses mean, as a reason of the catalogue. */
  errors: z.record(z.string().regex(/^[45]\d\d$/, 'must be a status such as "409"'), z.enum(reasons)).default({}),
  tables: z.record(name, tableSchema),
});

export type Mapping = z.output<typeof mappingSchema>;
export type MappedTable = Mapping['tables'][string];
export type MappedCall = z.output<typeof callSchema>;

/** Reads a mapping file. KEYSPACE_INVALID names the file and every field that is wrong. */
export async function loadMapping(file: string, keyspace: string): Promise<Mapping> {
  try {
    return await loadConfig(file, mappingSchema);
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new SwitchyardError('KEYSPACE_INVALID', `keyspace "${keyspace}": ${cause.message}`, { cause });
  }
}
