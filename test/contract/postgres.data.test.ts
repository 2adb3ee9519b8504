import { dataStoreContract } from './data-store.ts';
import { PostgresHarness } from './postgres-harness.ts';

dataStoreContract('PostgreSQL', () => PostgresHarness.start());
