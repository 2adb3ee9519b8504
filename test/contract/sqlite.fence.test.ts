import { fenceContract } from './fence.ts';
import { SqliteFiles, sqliteDialect } from './sqlite-move.ts';

fenceContract(sqliteDialect, () => SqliteFiles.start());
