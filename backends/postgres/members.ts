/** For FROM: a table together with its partitions at any depth, one that is not partitioned alone. `table`: an SQL expression of its id. Columns: `member`, an id, and `level`, 0 for the table itself. */
export const membersOf = (table: string): string =>
  `LATERAL (SELECT ${table} AS member, 0 AS level UNION ALL SELECT p.relid::oid, p.level FROM pg_partition_tree(${table}) p WHERE p.level > 0)`;

/** Name of a relation as SQL writes it, e.g. `public."Odd"`. `relation`: an alias of pg_class. */
export const relationName = (relation: string): string => `format('%s.%I', ${relation}.relnamespace::regnamespace, ${relation}.relname)`;
