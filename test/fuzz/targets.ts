const names = [
  'grpc',
  'http',
  'rest-service',
  'peer-answer',
  'documents',
  'definitions',
  'keyspace',
  'workflow',
  'control',
  'config',
  'pgoutput',
  'postgres-text',
  'mariadb-log',
  'mariadb-tables',
  'sqlite-values',
  'sqlite-log',
  'page-token',
  'request-record',
  'topology-http',
  'topology-file',
  'saved-rules',
  'consul-answer',
  'history-entry',
  'cli',
] as const;

/** Every part of the product that takes input from outside, with the module that holds its target. */
export const fuzzTargets: readonly { readonly name: string; readonly module: URL }[] = names.map((name) => ({ name, module: new URL(`./targets/${name}.ts`, import.meta.url) }));
