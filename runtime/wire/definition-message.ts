import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { ColumnDefault, TableExtras } from '../../core/table-extras.ts';
import { type ColumnSchema, columnNamed, type TableSchema } from '../../core/table-schema.ts';
import type { ColumnExtras as WireExtras, TableDefinition as WireDefinition } from '../../gen/switchyard/store/v1/common_pb.ts';
import { sentCell } from './cells.ts';
import { decodeCell } from './decode-cell.ts';
import { schemaFromMessage, schemaMessage } from './table-schema.ts';

/** A table's definition, enough to make the like of it in another store; see the stores' interface. */
interface Definition {
  readonly schema: TableSchema;
  readonly extras: TableExtras;
  readonly more: readonly string[];
  readonly native: { readonly kind: string; readonly detail: unknown };
}

/** What a store tells of its own kind only is JSON by nature, and read by nobody on the way. */
export const definitionMessage = ({ schema, extras, more, native }: Definition): WireDefinition => ({
  $typeName: 'switchyard.store.v1.TableDefinition',
  schema: schemaMessage(schema, native.kind),
  more: [...more],
  nativeKind: native.kind,
  nativeDetail: JSON.stringify(native.detail),
  columns: schema.columns.filter(({ name }) => extras.defaults.has(name) || extras.labels.has(name)).map((column) => columnMessage(column, extras)),
  indexes: extras.indexes.map(({ name, columns }) => ({
    $typeName: 'switchyard.store.v1.SecondaryIndex',
    name,
    parts: columns.map((part) => ({ $typeName: 'switchyard.store.v1.SecondaryIndex.Part', column: part.name, descending: part.descending })),
  })),
  foreignKeys: extras.foreignKeys.map(({ name, columns, references, referencedColumns }) => ({
    $typeName: 'switchyard.store.v1.ForeignKey',
    name,
    columns: [...columns],
    references,
    referencedColumns: [...referencedColumns],
  })),
  leftOut: [...extras.leftOut],
});

/** The reverse. ARGUMENT_INVALID: it lacks its schema, or is malformed. */
export function definitionFromMessage(message: WireDefinition): Definition {
  if (message.schema === undefined) throw new SwitchyardError('ARGUMENT_INVALID', 'definitions: one without its schema');
  const schema = schemaFromMessage(message.schema);
  return { schema, extras: extrasFromMessage(schema, message), more: message.more, native: { kind: message.nativeKind, detail: detailOf(message.nativeDetail) } };
}

function columnMessage(column: ColumnSchema, { defaults, labels }: TableExtras): WireExtras {
  const found = defaults.get(column.name);
  return { $typeName: 'switchyard.store.v1.ColumnExtras', column: column.name, default: defaultMessage(column, found), labels: [...(labels.get(column.name) ?? [])] };
}

function defaultMessage(column: ColumnSchema, found: ColumnDefault | undefined): WireExtras['default'] {
  if (found === undefined) return { case: undefined };
  return found.kind === 'value' ? { case: 'value', value: sentCell(column, found.cell) } : { case: found.kind, value: true };
}

function extrasFromMessage(schema: TableSchema, { columns, indexes, foreignKeys, leftOut }: WireDefinition): TableExtras {
  return {
    defaults: new Map(
      columns.flatMap(({ column, default: found }): readonly (readonly [string, ColumnDefault])[] => {
        if (found.case === undefined) return [];
        if (found.case !== 'value') return [[column, { kind: found.case }]];
        return [[column, { kind: 'value', cell: decodeCell(found.value, columnNamed(schema, column), 'definitions.columns') }]];
      }),
    ),
    labels: new Map(columns.flatMap(({ column, labels }) => (labels.length === 0 ? [] : [[column, labels]]))),
    indexes: indexes.map(({ name, parts }) => ({ name, columns: parts.map(({ column, descending }) => ({ name: column, descending })) })),
    foreignKeys: foreignKeys.map(({ name, columns: names, references, referencedColumns }) => ({ name, columns: names, references, referencedColumns })),
    leftOut,
  };
}

function detailOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SwitchyardError('ARGUMENT_INVALID', 'definitions: one whose native detail is no JSON', { cause });
  }
}
