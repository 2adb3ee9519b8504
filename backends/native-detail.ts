import type { z } from 'zod';
import { SwitchyardError } from '../core/switchyard-error.ts';
import type { TableDefinition } from './backend.ts';

/** What a store of one's own kind has told of the table. ARGUMENT_INVALID: it comes from elsewhere, and has another form. */
export function nativeDetail<T>(form: z.ZodType<T>, { schema, native }: Pick<TableDefinition, 'schema' | 'native'>): T {
  const parsed = form.safeParse(native.detail);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new SwitchyardError(
    'ARGUMENT_INVALID',
    `definitions: the native detail of table "${schema.name}" is none of kind ${native.kind}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
  );
}
