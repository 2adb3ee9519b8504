import { replicationContract } from './replication.ts';
import { PassedOnPairs, passedOn } from './passed-on-move.ts';
import { PostgresPair, postgresDialect } from './postgres-move.ts';

replicationContract(passedOn(postgresDialect, 'http'), async () => new PassedOnPairs('http', await PostgresPair.start()));
