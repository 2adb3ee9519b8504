import { writeOnceContract } from './write-once.ts';
import { PassedOnPairs, passedOn } from './passed-on-move.ts';
import { PostgresPair, postgresDialect } from './postgres-move.ts';

writeOnceContract(passedOn(postgresDialect, 'http'), async () => new PassedOnPairs('http', await PostgresPair.start()));
