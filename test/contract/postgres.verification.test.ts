import { PostgresPair, postgresDialect } from './postgres-move.ts';
import { describeVerification } from './verification.ts';

describeVerification(postgresDialect, () => PostgresPair.start());
