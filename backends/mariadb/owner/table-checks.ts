import type { Problem } from '../../backend.ts';
import { quoteIdentifier } from '../connection.ts';
import type { ValueRow } from '../session.ts';
import type { Statements } from '../store-client.ts';
import { foreignTriggers } from './triggers.ts';

/** What keeps existing tables from being moved. */
export async function tableProblems(statements: Statements, tables: readonly string[], signal: AbortSignal): Promise<readonly Problem[]> {
  const ask = async (text: string): Promise<readonly ValueRow[]> => (await statements.query(text, [], signal)).rows;
  const isMoved = (table: unknown): boolean => tables.includes(String(table));
  const partitioned = await ask(`SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND CREATE_OPTIONS LIKE '%partitioned%'`);
  const drawn = await ask(`SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND COLUMN_DEFAULT LIKE '%nextval(%'`);
  return [
    ...partitioned
      .filter(([table]) => isMoved(table))
      .map(([table]) => ({ table: String(table), message: 'it is partitioned, which is not served in a move yet', fix: 'leave the table out' })),
    ...drawn
      .filter(([table]) => isMoved(table))
      .map(([table, column, value]) => ({
        table: String(table),
        message: `column "${String(column)}" takes its default from a sequence (${String(value)}), which is not moved`,
        fix: `ALTER TABLE ${quoteIdentifier(String(table))} MODIFY ${quoteIdentifier(String(column))} … AUTO_INCREMENT`,
      })),
    ...foreignKeyProblems(await ask(foreignKeysText), isMoved),
    ...(await outsideProblems(statements, tables, signal)),
    ...(await foreignTriggers(statements, tables, signal)).map(({ table, name }) => ({
      table,
      message: `trigger "${name}" would fire again for replicated rows and is not made in the target`,
      fix: `DROP TRIGGER ${quoteIdentifier(name)}`,
    })),
  ];
}

/** Those of this database; database and table that each leads to are its own where it says none. */
const foreignKeysText = `
SELECT r.TABLE_NAME, r.CONSTRAINT_NAME, r.REFERENCED_TABLE_NAME, r.UNIQUE_CONSTRAINT_SCHEMA = DATABASE(), r.DELETE_RULE, r.UPDATE_RULE
FROM information_schema.REFERENTIAL_CONSTRAINTS r WHERE r.CONSTRAINT_SCHEMA = DATABASE() ORDER BY r.TABLE_NAME, r.CONSTRAINT_NAME`;

const passive: readonly string[] = ['RESTRICT', 'NO ACTION'];

function foreignKeyProblems(rows: readonly ValueRow[], isMoved: (table: unknown) => boolean): readonly Problem[] {
  return rows.flatMap((row): readonly Problem[] => {
    const [child = '', key = '', parent = '', , onDelete = '', onUpdate = ''] = row.map(String);
    const movesParent = Number(row[3]) === 1 && isMoved(parent);
    const drop = `ALTER TABLE ${quoteIdentifier(child)} DROP FOREIGN KEY ${quoteIdentifier(key)}`;
    if (isMoved(child) && !movesParent)
      return [{ table: child, message: `foreign key "${key}" leads to table "${parent}", which is not part of the move`, fix: `move "${parent}" too, or: ${drop}` }];
    if (!isMoved(child) && movesParent)
      return [{ table: parent, message: `foreign key "${key}" of table "${child}" leads here, and that table is not part of the move`, fix: `move "${child}" too, or: ${drop}` }];
    if (!movesParent || (passive.includes(onDelete) && passive.includes(onUpdate))) return [];
    const message = `foreign key "${key}" changes rows by itself (ON DELETE ${onDelete} ON UPDATE ${onUpdate}), which fires no trigger and is not in the log`;
    return [{ table: child, message, fix: `make it anew with RESTRICT, and let the application change the rows: ${drop}, ADD CONSTRAINT ${quoteIdentifier(key)} …` }];
  });
}

/** Foreign keys of tables in other databases, which the owner need have no right on. The engine writes names as those of files. */
async function outsideProblems(statements: Statements, tables: readonly string[], signal: AbortSignal): Promise<readonly Problem[]> {
  const problems: Problem[] = [];
  for (const table of tables) {
    const text = `SELECT ID, FOR_NAME FROM information_schema.INNODB_SYS_FOREIGN
      WHERE REF_NAME = CONCAT(CONVERT(CONVERT(DATABASE() USING filename) USING binary), '/', CONVERT(CONVERT(? USING filename) USING binary)) AND FOR_NAME NOT LIKE CONCAT(CONVERT(CONVERT(DATABASE() USING filename) USING binary), '/%')`;
    for (const [id, child] of (await statements.query(text, [table], signal)).rows)
      problems.push({
        table,
        message: `foreign key "${String(id)}" of table "${String(child)}" in another database leads here, and that table is not part of the move`,
        fix: 'drop the foreign key, or leave the table out',
      });
  }
  return problems;
}
