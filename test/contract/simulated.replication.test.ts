import { replicationContract } from './replication.ts';
import { SimulatedPairs, simulatedDialect } from './simulated-move.ts';

replicationContract(simulatedDialect, async () => new SimulatedPairs());
