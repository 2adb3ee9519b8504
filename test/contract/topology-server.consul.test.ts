import { describe } from '@jest/globals';
import { describeTopologyServer } from './topology-server.ts';

describe('a real Consul agent', () => describeTopologyServer('consul'));
