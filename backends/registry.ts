import type { Backend } from './backend.ts';
import { postgresBackend } from './postgres/backend.ts';

/** Every kind of store by its name: the only file that names them. */
export const backends: ReadonlyMap<string, Backend> = new Map([postgresBackend].map((backend) => [backend.kind, backend]));
