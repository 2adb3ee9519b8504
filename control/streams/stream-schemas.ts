import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { Side } from '../move.ts';

/** The tables' shapes at both ends of a stream: each store is given its own, whose types are in its own words. */
export interface StreamSchemas {
  readonly from: ReadonlyMap<string, TableSchema>;
  readonly to: ReadonlyMap<string, TableSchema>;
}

/** SCHEMA_CHANGED when the other side cannot take the rows of the stream's source as they are. */
export async function readSchemas(tables: readonly string[], from: Side, to: Side, signal: AbortSignal): Promise<StreamSchemas> {
  const schemas = { from: new Map<string, TableSchema>(), to: new Map<string, TableSchema>() };
  for (const table of tables) {
    const [source, target] = await Promise.all([from.player.describe(table, signal), to.player.describe(table, signal)]);
    if (source === null || target === null) throw new SwitchyardError('SCHEMA_CHANGED', `table ${table} does not exist in ${source === null ? from.keyspace : to.keyspace}`);
    const difference = shapeDifference(source, target);
    if (difference !== null) throw new SwitchyardError('SCHEMA_CHANGED', `table ${table} differs between ${from.keyspace} and ${to.keyspace}: ${difference}`);
    schemas.from.set(table, source);
    schemas.to.set(table, target);
  }
  return schemas;
}

/** What keeps rows of one table from being rows of the other, null when nothing does: columns by name, order and kind, and the primary key. */
export function shapeDifference(source: TableSchema, target: TableSchema): string | null {
  if (source.columns.length !== target.columns.length) return `${source.columns.length} columns against ${target.columns.length}`;
  for (const [index, column] of source.columns.entries()) {
    const other = target.columns[index];
    if (other === undefined || other.name !== column.name) return `column ${index + 1} is ${column.name} against ${other?.name ?? 'none'}`;
    if (other.kind !== column.kind || other.elementKind !== column.elementKind) return `column ${column.name} is ${column.nativeType} against ${other.nativeType}`;
  }
  if (source.primaryKey.join() !== target.primaryKey.join()) return `primary key (${source.primaryKey.join(', ')}) against (${target.primaryKey.join(', ')})`;
  return null;
}
