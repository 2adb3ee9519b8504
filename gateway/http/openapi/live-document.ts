import { hasReason } from '../../../core/switchyard-error.ts';
import type { Executor } from '../../flow/executor.ts';
import type { TableList } from '../../list-tables.ts';
import type { HttpBinding } from '../../../runtime/http/bindings.ts';
import { openApiDocument } from './document.ts';
import type { DocumentedTable } from './table-schemas.ts';

const atOnce = 8;

export interface OpenApiSourceOptions {
  readonly bindings: readonly HttpBinding[];
  readonly tables: TableList;
  readonly executor: Executor;
}

/** Makes the document of this moment as JSON text. A table that cannot be served is left out; fails when a keyspace does not answer. */
export function openApiSource({ bindings, tables, executor }: OpenApiSourceOptions): (signal: AbortSignal) => Promise<string> {
  const documented = async (name: string, signal: AbortSignal): Promise<DocumentedTable | null> => {
    try {
      return { name, handle: await executor.shape({ signal }, name) };
    } catch (error) {
      if (hasReason(error, 'TABLE_UNSUPPORTED', 'TABLE_UNKNOWN')) return null;
      throw error;
    }
  };
  return async (signal) => {
    const names = await tables.names(signal);
    const found: DocumentedTable[] = [];
    for (let at = 0; at < names.length; at += atOnce) {
      const some = await Promise.all(names.slice(at, at + atOnce).map((name) => documented(name, signal)));
      found.push(...some.filter((table) => table !== null));
    }
    return JSON.stringify(openApiDocument(bindings, found));
  };
}
