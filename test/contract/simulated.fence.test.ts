import { fenceContract } from './fence.ts';
import { SimulatedPairs, simulatedDialect } from './simulated-move.ts';

fenceContract(simulatedDialect, async () => new SimulatedPairs());
