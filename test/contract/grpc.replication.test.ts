import { replicationContract } from './replication.ts';
import { PassedOnPairs, passedOn } from './passed-on-move.ts';
import { PostgresPair, postgresDialect } from './postgres-move.ts';

replicationContract(passedOn(postgresDialect, 'grpc'), async () => new PassedOnPairs('grpc', await PostgresPair.start()));
