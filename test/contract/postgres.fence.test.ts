import { fenceContract } from './fence.ts';
import { PostgresPair, postgresDialect } from './postgres-move.ts';

fenceContract(postgresDialect, () => PostgresPair.start());
