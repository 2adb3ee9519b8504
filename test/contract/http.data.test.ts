import { passedOnDataContract } from './passed-on-data.ts';

passedOnDataContract('http');
