import type { Backend } from './backend.ts';
import { grpcBackend } from './grpc/backend.ts';
import { httpBackend } from './http/backend.ts';
import { mariadbBackend } from './mariadb/backend.ts';
import { postgresBackend } from './postgres/backend.ts';
import { sqliteBackend } from './sqlite/backend.ts';

/** Every kind of store by its name: the only file that names them. */
export const backends: ReadonlyMap<string, Backend> = new Map([postgresBackend, mariadbBackend, sqliteBackend, grpcBackend, httpBackend].map((backend) => [backend.kind, backend]));
