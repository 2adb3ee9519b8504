import { SwitchyardError } from '../../core/switchyard-error.ts';
import { shapeDifference, type TableSchema } from '../../core/table-schema.ts';
import type { Side } from '../move.ts';

/** The shapes of the tables at the stream's source. SCHEMA_CHANGED when the other side cannot take their rows as they are. */
export async function readSchemas(tables: readonly string[], from: Side, to: Side, signal: AbortSignal): Promise<ReadonlyMap<string, TableSchema>> {
  const schemas = new Map<string, TableSchema>();
  for (const table of tables) {
    const [source, target] = await Promise.all([from.player.describe(table, signal), to.player.describe(table, signal)]);
    if (source === null || target === null) throw new SwitchyardError('SCHEMA_CHANGED', `table ${table} does not exist in ${source === null ? from.keyspace : to.keyspace}`);
    const difference = shapeDifference(source, target);
    if (difference !== null) throw new SwitchyardError('SCHEMA_CHANGED', `table ${table} differs between ${from.keyspace} and ${to.keyspace}: ${difference}`);
    schemas.set(table, source);
  }
  return schemas;
}
