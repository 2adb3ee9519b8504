import { expect, test } from '@jest/globals';
import type { ColumnSchema } from '../../core/table-schema.ts';
import { comparand } from '../../backends/mariadb/comparison.ts';
import { requireFit as fitsMariaDb } from '../../backends/mariadb/column-fit.ts';
import { compileBatchGet } from '../../backends/mariadb/data/batch-get.ts';
import { requireFit as fitsPostgres } from '../../backends/postgres/data/column-fit.ts';
import { decimalOrder } from '../../backends/sqlite/decimal-text.ts';
import { withoutTrailingZeros } from '../../backends/trailing-zeros.ts';

const decimal = (nativeType: string): ColumnSchema => ({ name: 'c', kind: 'decimal', nullable: true, hasDefault: false, generated: false, nativeType });
const table = { name: 't', columns: [{ ...decimal('decimal(65,30)'), nullable: false }], primaryKey: ['c'], uniqueKeys: [], fingerprint: 'f' };

test.each([
  ['', ''],
  ['0', ''],
  ['000', ''],
  ['10', '1'],
  ['0100', '01'],
  ['101', '101'],
])('"%s" without the zeros at its end is "%s"', (digits, expected) => {
  expect(withoutTrailingZeros(digits)).toBe(expected);
});

// Any caller may send such a decimal, and nothing else is served while it is looked at.
test.each<[string, (text: string) => unknown]>([
  ['its order in SQLite', (text) => decimalOrder(text)],
  ["whether it fits MariaDB's column", (text) => fitsMariaDb(decimal('decimal(65,30)'), text)],
  ['how MariaDB compares it', (text) => comparand(decimal('decimal(65,30)'), text)],
  ['whether it is a key of MariaDB that was asked for', (text) => compileBatchGet(table as never, { keys: [[text]], columns: ['c'] } as never)],
  ["whether it fits PostgreSQL's column", (text) => fitsPostgres(decimal('numeric(12,4)'), text)],
])('%s costs no more than its length for a decimal with long rows of zeros', (_, judge) => {
  const zeros = '0'.repeat(32_000);
  for (const text of [`${zeros}7${zeros}7${zeros}7${zeros}7`, `.${zeros}7${zeros}7${zeros}7${zeros}7`]) {
    const before = process.cpuUsage();
    try {
      judge(text);
    } catch (error) {
      expect(error).toMatchObject({ reason: 'VALUE_INVALID' });
    }
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(1_000);
  }
});
