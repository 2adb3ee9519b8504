import { MariaDbPair, mariadbDialect } from './mariadb-move.ts';
import { replicationContract } from './replication.ts';

replicationContract(mariadbDialect, () => MariaDbPair.start());
