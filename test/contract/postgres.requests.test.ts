import { PostgresPair, postgresDialect } from './postgres-move.ts';
import { requestReplicationContract } from './request-replication.ts';

requestReplicationContract(postgresDialect, () => PostgresPair.start());
