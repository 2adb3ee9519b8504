import { requestReplicationContract } from './request-replication.ts';
import { PassedOnPairs, passedOn } from './passed-on-move.ts';
import { PostgresPair, postgresDialect } from './postgres-move.ts';

requestReplicationContract(passedOn(postgresDialect, 'http'), async () => new PassedOnPairs('http', await PostgresPair.start()));
