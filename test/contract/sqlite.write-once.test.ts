import { sqliteDialect, SqliteFiles } from './sqlite-move.ts';
import { writeOnceContract } from './write-once.ts';

writeOnceContract(sqliteDialect, () => SqliteFiles.start());
