import { writeOnceContract } from './write-once.ts';
import { PassedOnPairs, passedOn } from './passed-on-move.ts';
import { PostgresPair, postgresDialect } from './postgres-move.ts';

writeOnceContract(passedOn(postgresDialect, 'grpc'), async () => new PassedOnPairs('grpc', await PostgresPair.start()));
