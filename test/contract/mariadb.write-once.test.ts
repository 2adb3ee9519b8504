import { MariaDbPair, mariadbDialect } from './mariadb-move.ts';
import { writeOnceContract } from './write-once.ts';

writeOnceContract(mariadbDialect, () => MariaDbPair.start());
