import { MariaDbPair, mariadbDialect } from './mariadb-move.ts';
import { requestReplicationContract } from './request-replication.ts';

requestReplicationContract(mariadbDialect, () => MariaDbPair.start());
