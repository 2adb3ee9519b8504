import { fenceContract } from './fence.ts';
import { MariaDbPair, mariadbDialect } from './mariadb-move.ts';

fenceContract(mariadbDialect, () => MariaDbPair.start());
