import { SqliteFiles, sqliteDialect } from './sqlite-move.ts';
import { describeVerification } from './verification.ts';

describeVerification(sqliteDialect, () => SqliteFiles.start());
