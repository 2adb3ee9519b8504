import { operationsByTypeContract } from './operations-by-type.ts';
import { postgresTypes, postgresTypesHarness } from './postgres-types.ts';

operationsByTypeContract('PostgreSQL', postgresTypes, postgresTypesHarness);
