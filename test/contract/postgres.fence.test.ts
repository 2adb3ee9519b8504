import { fenceContract } from './fence.ts';
import { PostgresPair } from './postgres-move.ts';

fenceContract('PostgreSQL', { write: 'SY001', oldSnapshot: '40001', read: '42501' }, () => PostgresPair.start());
