import { PostgresPair, postgresDialect } from './postgres-move.ts';
import { writeOnceContract } from './write-once.ts';

writeOnceContract(postgresDialect, () => PostgresPair.start());
