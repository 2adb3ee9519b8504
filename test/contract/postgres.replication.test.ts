import { PostgresPair } from './postgres-move.ts';
import { replicationContract } from './replication.ts';

replicationContract('PostgreSQL', () => PostgresPair.start());
