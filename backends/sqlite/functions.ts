import type { DatabaseSync } from 'node:sqlite';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import { patternTest } from '../../core/like-pattern.ts';
import { declaredType } from './column-types.ts';
import { decimalOrder, decimalSize, decimalSum, decimalText } from './decimal-text.ts';

const INT_LIMITS: Readonly<Record<string, bigint>> = { int16: 2n ** 15n, int32: 2n ** 31n, int64: 2n ** 63n };
const UINT64_LIMIT = 2n ** 64n;
const UINT64_DIGITS = 20;
const unsignedPattern = /^\d{20}$/;

/**
 * SQL functions of our own connections. Other programs' connections do not have them, so no trigger, index or check of a file may use one: they are declared for direct use only.
 *  - switchyard_go_on(): true, or an error when the statement is no longer wanted.
 *  - switchyard_decimal(text): a text that orders as the decimal does.
 *  - switchyard_add(kind, declared type, a, b): the exact sum, or VALUE_INVALID; SQLite's own + turns a sum beyond 64 bit into a float.
 *  - switchyard_like(pattern, text): see core/like-pattern.ts; SQLite's own LIKE takes "A" for "a".
 *  - switchyard_sum(number): of integers and decimals, the exact sum as a decimal's text, NULLs left aside; of none NULL.
 *  - switchyard_min(text), switchyard_max(text): the smallest or largest decimal, NULLs left aside.
 */
export function registerFunctions(database: DatabaseSync, goOn: () => boolean): void {
  database.function('switchyard_go_on', { directOnly: true }, () => {
    if (!goOn()) throw new SwitchyardError('CANCELLED', 'nobody waits for the statement any more');
    return 1;
  });
  database.function('switchyard_decimal', { directOnly: true, deterministic: true, useBigIntArguments: true }, (text) => (text === null ? null : storedOrder(text)));
  database.function('switchyard_add', { directOnly: true, deterministic: true, useBigIntArguments: true }, (kind, declared, a, b) => {
    if (a === null || b === null) return null;
    const sum = exactSum(String(kind), String(declared), a, b);
    if (sum === undefined) throw new SwitchyardError('VALUE_INVALID', `the sum of ${String(a)} and ${String(b)} is no value of the type ${String(declared)}`);
    return sum;
  });
  // A statement asks for one pattern, row after row.
  let last = { pattern: '', matches: patternTest('') };
  database.function('switchyard_like', { directOnly: true, deterministic: true }, (given, text) => {
    if (text === null) return null;
    const pattern = String(given);
    if (last.pattern !== pattern) last = { pattern, matches: patternTest(pattern) };
    return Number(last.matches(String(text)));
  });
  database.aggregate('switchyard_sum', {
    start: null,
    directOnly: true,
    useBigIntArguments: true,
    step: (sum, value) => (value === null ? sum : totalled(typeof sum === 'string' ? sum : null, decimalOf(value))),
  });
  // Without a `result` function: node:sqlite loses the error of a statement when one is called after it, and answers nothing as if there were no rows.
  for (const [name, sign] of [
    ['switchyard_min', -1],
    ['switchyard_max', 1],
  ] as const)
    database.aggregate(name, {
      start: null,
      directOnly: true,
      useBigIntArguments: true,
      step: (found, value) => {
        if (value === null) return found;
        const order = storedOrder(value);
        return typeof found !== 'string' || compareTexts(order, storedOrder(found)) === sign ? value : found;
      },
    });
}

function storedOrder(value: Addend): string {
  const order = typeof value === 'string' ? decimalOrder(value) : null;
  if (order === null) throw new SwitchyardError('VALUE_UNSUPPORTED', `a decimal column holds ${String(value)}, which is no decimal: correct it in the store`);
  return order;
}

const compareTexts = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** A stored integer or decimal as a decimal's text. */
function decimalOf(value: Addend): string {
  const text = typeof value === 'string' && unsignedPattern.test(value) ? String(BigInt(value)) : String(value);
  if (value instanceof Uint8Array || decimalOrder(text) === null)
    throw new SwitchyardError('VALUE_UNSUPPORTED', `a number column holds ${text}, which is no decimal: correct it in the store`);
  return text;
}

/** As PostgreSQL adds: what is not finite stays so, and opposite infinities are no number. */
function totalled(sum: string | null, value: string): string {
  if (sum === null) return value;
  const exact = decimalSum(sum, value);
  if (exact !== null) return exact;
  const special = [sum, value].filter((text) => !/\d/.test(text));
  return special.every((text) => text === special[0]) ? (special[0] ?? 'NaN') : 'NaN';
}

type Addend = string | number | bigint | Uint8Array;

function exactSum(kind: string, declared: string, a: Addend, b: Addend): bigint | number | string | undefined {
  const limit = INT_LIMITS[kind];
  if (limit !== undefined && typeof a === 'bigint' && typeof b === 'bigint') {
    const sum = a + b;
    return sum >= -limit && sum < limit ? sum : undefined;
  }
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = kind === 'float32' ? Math.fround(a + b) : a + b;
    return Number.isNaN(sum) ? undefined : sum;
  }
  if (kind === 'uint64') {
    if (typeof a !== 'string' || typeof b !== 'string' || !unsignedPattern.test(a)) return undefined;
    const sum = BigInt(a) + BigInt(b);
    return sum >= 0n && sum < UINT64_LIMIT ? String(sum).padStart(UINT64_DIGITS, '0') : undefined;
  }
  if (kind !== 'decimal' || typeof a !== 'string' || typeof b !== 'string') return undefined;
  const sum = decimalSum(a, b);
  return sum === null ? undefined : (decimalText(sum, decimalSize(declaredType(declared)?.modifiers ?? [])) ?? undefined);
}
