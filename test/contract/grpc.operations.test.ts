import { passedOnOperationsContract } from './passed-on-operations.ts';

passedOnOperationsContract('grpc');
