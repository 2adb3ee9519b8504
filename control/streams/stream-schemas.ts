import { SwitchyardError } from '../../core/switchyard-error.ts';
import { shapeDifference, shapeDifferenceBetweenKinds, storeKindOf, type TableSchema } from '../../core/table-schema.ts';
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
    const difference = storeKindOf(source, from.kind) === storeKindOf(target, to.kind) ? shapeDifference(source, target) : shapeDifferenceBetweenKinds(source, target);
    if (difference !== null) throw new SwitchyardError('SCHEMA_CHANGED', `table ${table} differs between ${from.keyspace} and ${to.keyspace}: ${difference}`);
    schemas.from.set(table, source);
    schemas.to.set(table, target);
  }
  return schemas;
}
