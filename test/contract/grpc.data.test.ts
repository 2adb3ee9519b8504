import { passedOnDataContract } from './passed-on-data.ts';

passedOnDataContract('grpc');
