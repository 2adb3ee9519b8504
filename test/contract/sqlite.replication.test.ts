import { replicationContract } from './replication.ts';
import { SqliteFiles, sqliteDialect } from './sqlite-move.ts';

replicationContract(sqliteDialect, () => SqliteFiles.start());
