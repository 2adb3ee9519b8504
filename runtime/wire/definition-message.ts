import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { TableSchema } from '../../core/table-schema.ts';
import type { TableDefinition as WireDefinition } from '../../gen/switchyard/store/v1/common_pb.ts';
import { schemaFromMessage, schemaMessage } from './table-schema.ts';

/** A table's definition, enough to make the like of it in another store; see the stores' interface. */
interface Definition {
  readonly schema: TableSchema;
  readonly more: readonly string[];
  readonly native: { readonly kind: string; readonly detail: unknown };
}

/** What a store tells of its own kind only is JSON by nature, and read by nobody on the way. */
export const definitionMessage = ({ schema, more, native }: Definition): WireDefinition => ({
  $typeName: 'switchyard.store.v1.TableDefinition',
  schema: schemaMessage(schema, native.kind),
  more: [...more],
  nativeKind: native.kind,
  nativeDetail: JSON.stringify(native.detail),
});

/** The reverse. ARGUMENT_INVALID: it lacks its schema, or is malformed. */
export function definitionFromMessage({ schema, more, nativeKind, nativeDetail }: WireDefinition): Definition {
  if (schema === undefined) throw new SwitchyardError('ARGUMENT_INVALID', 'definitions: one without its schema');
  return { schema: schemaFromMessage(schema), more, native: { kind: nativeKind, detail: detailOf(nativeDetail) } };
}

function detailOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SwitchyardError('ARGUMENT_INVALID', 'definitions: one whose native detail is no JSON', { cause });
  }
}
