import { fenceContract } from './fence.ts';
import { PassedOnPairs, passedOn } from './passed-on-move.ts';
import { PostgresPair, postgresDialect } from './postgres-move.ts';

fenceContract(passedOn(postgresDialect, 'http'), async () => new PassedOnPairs('http', await PostgresPair.start()));
