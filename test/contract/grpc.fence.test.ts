import { fenceContract } from './fence.ts';
import { PassedOnPairs, passedOn } from './passed-on-move.ts';
import { PostgresPair, postgresDialect } from './postgres-move.ts';

fenceContract(passedOn(postgresDialect, 'grpc'), async () => new PassedOnPairs('grpc', await PostgresPair.start()));
