/** What a database, or a transaction, has beside its tables: no table of a module has one of these names. */
export const takenNames: readonly string[] = ['mutate', 'transact', 'close', 'savepoint', 'rollBackTo'];
