import { SimulatedPairs, simulatedDialect } from './simulated-move.ts';
import { writeOnceContract } from './write-once.ts';

writeOnceContract(simulatedDialect, async () => new SimulatedPairs());
