import { expect } from 'expect';

/* What stands for `@jest/globals` in a mutation run: as much of it as the unit tests of the guards use, in a process that runs the same tests again and again. */

export interface CollectedTest {
  readonly name: string;
  readonly run: () => unknown;
}

const collected: CollectedTest[] = [];
const path: string[] = [];

/** The tests of the files that were imported since the last call. */
export const takeTests = (): readonly CollectedTest[] => collected.splice(0);

type Body = (...values: never[]) => unknown;

/** Jest's title: %s, %p and the like in order, $name from an object, %# the row's number. */
function titleOf(title: string, row: readonly unknown[], index: number): string {
  const values = [...row];
  const named = title.replaceAll(/\$(\w+)/g, (_, name: string) => String((row[0] as Record<string, unknown> | undefined)?.[name]));
  return `${named.replaceAll(/%[spdifjo]/g, () => String(values.shift())).replaceAll('%#', String(index))} #${index}`;
}

const rowsOf = (table: readonly unknown[]): readonly (readonly unknown[])[] => table.map((row) => (Array.isArray(row) ? (row as unknown[]) : [row]));

function describeNow(title: string, body: () => void): void {
  path.push(title);
  body();
  path.pop();
}

function testNow(title: string, body: Body): void {
  collected.push({ name: [...path, title].join(' › '), run: () => (body as () => unknown)() });
}

type Spread = (...values: readonly unknown[]) => unknown;

const describe = Object.assign(describeNow, {
  each: (table: readonly unknown[]) => (title: string, body: Body) => {
    for (const [index, row] of rowsOf(table).entries()) describeNow(titleOf(title, row, index), () => void (body as Spread)(...row));
  },
});

const test = Object.assign(testNow, {
  each: (table: readonly unknown[]) => (title: string, body: Body) => {
    for (const [index, row] of rowsOf(table).entries()) testNow(titleOf(title, row, index), () => (body as Spread)(...row));
  },
});

export { describe, expect, test };
