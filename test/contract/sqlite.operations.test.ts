import { mkdtemp, rm } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sqliteBackend } from '../../backends/sqlite/backend.ts';
import { operationsByTypeContract } from './operations-by-type.ts';
import { storeOptions } from './data-store-harness.ts';

const types = {
  int16: 'SMALLINT',
  int32: 'INT32',
  int64: 'BIGINT',
  uint64: 'UNSIGNED64_TEXT',
  float32: 'FLOAT32',
  float64: 'REAL',
  decimal: 'DECIMAL_TEXT(20,4)',
  text: 'TEXT',
  bytes: 'BLOB',
  bool: 'BOOLEAN',
  uuid: 'UUID_TEXT',
  date: 'DATE_TEXT',
  time: 'TIME_TEXT',
  timestamp: 'TIMESTAMP_TEXT',
  timestamptz: 'TIMESTAMPTZ_TEXT',
  enum: 'ENUM_TEXT',
  json: 'JSON_TEXT',
  'int64[]': { none: 'SQLite has no arrays' },
  'text[]': { none: 'SQLite has no arrays' },
} as const;

operationsByTypeContract('SQLite', types, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'switchyard-sqlite-operations-'));
  const path = join(directory, 'operations.db');
  const script = async (text: string): Promise<void> => {
    using database = new DatabaseSync(path, { timeout: 5_000 });
    database.exec(`PRAGMA journal_mode = WAL; ${text}`);
  };
  await script('');
  const store = sqliteBackend.openData(
    storeOptions({
      shard: { kind: 'sqlite', path },
      password: '',
      applicationName: 'operations',
    }),
  );
  return {
    store,
    capabilities: sqliteBackend.capabilities,
    script,
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
});
