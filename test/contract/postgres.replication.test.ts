import { PostgresPair, postgresDialect } from './postgres-move.ts';
import { replicationContract } from './replication.ts';

replicationContract(postgresDialect, () => PostgresPair.start());
