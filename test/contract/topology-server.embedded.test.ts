import { describe } from '@jest/globals';
import { describeTopologyServer } from './topology-server.ts';

describe('the embedded topology', () => describeTopologyServer('embedded'));
