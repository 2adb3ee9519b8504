import { requestReplicationContract } from './request-replication.ts';
import { SimulatedPairs, simulatedDialect } from './simulated-move.ts';

requestReplicationContract(simulatedDialect, async () => new SimulatedPairs());
