import type { SwitchyardError } from '../../core/switchyard-error.ts';
import { hasReason } from '../../core/switchyard-error.ts';
import { type Move, otherSide, type Side, type SideName } from '../move.ts';
import type { StreamSchemas } from '../streams/stream-schemas.ts';
import { definitionDifference } from '../table-shapes.ts';

/**
 * What ended a stream, or a step before it, for people. Where a store no longer knows a table or a column that the stream has read, or both have become unlike: which keyspace's tables have another definition by now than when it began, and how. What the stores do not tell now is left out.
 */
export async function endedText(error: SwitchyardError, move: Move, from: SideName, schemas: StreamSchemas, signal: AbortSignal): Promise<string> {
  const said = `${error.reason}: ${error.message}`;
  if (!hasReason(error, 'TABLE_UNKNOWN', 'COLUMN_UNKNOWN', 'SCHEMA_CHANGED')) return said;
  const [ofSource, ofTarget] = await Promise.all([changes(move[from], schemas.from, signal), changes(move[otherSide(from)], schemas.to, signal)]);
  const found = [...ofSource, ...ofTarget];
  if (found.length > 0) return `${said}; a table's definition was changed under the move: ${found.join('; ')}`;
  // What it was before is not known here, and the error has compared the two sides.
  if (error.reason === 'SCHEMA_CHANGED') return said;
  return `${said}; a table's definition may have been changed under the move: look at ${move.tables.join(', ')} in "${move.source.keyspace}" and "${move.target.keyspace}"`;
}

async function changes({ keyspace, player }: Side, known: StreamSchemas['from'], signal: AbortSignal): Promise<readonly string[]> {
  const compared = [...known.values()].map(async (schema): Promise<readonly string[]> => {
    const now = await player.describe(schema.name, signal);
    if (now === null) return [`${keyspace}.${schema.name} is gone`];
    const difference = definitionDifference(schema, now);
    return difference === null ? [] : [`${keyspace}.${schema.name}: ${difference}`];
  });
  const results = await Promise.allSettled(compared);
  signal.throwIfAborted();
  return results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
}
