import { attempt } from '../../core/ids.ts';
import { SwitchyardError } from '../../core/switchyard-error.ts';
import type { EventPlace } from '../../core/table-event.ts';

const form = 'w1';
const longest = 512;

/** Where a watch of a table goes on. `key` names the table in the same way whatever name it was asked for by, and wherever it is served. */
export const encodeWatchToken = (key: string, { attempt: at, number }: EventPlace): string => Buffer.from(JSON.stringify([form, key, at, String(number)])).toString('base64url');

/** PAGE_TOKEN_INVALID for what is none, or another table's. */
export function decodeWatchToken(key: string, token: string): EventPlace {
  const parts = token.length > longest ? null : partsOf(token);
  if (parts === null) throw refused('it is malformed');
  const [, table, at, number] = parts;
  if (table !== key) throw refused(`it belongs to a watch of table "${table}"`);
  return { attempt: attempt(at), number: BigInt(number) };
}

function partsOf(token: string): readonly [string, string, number, string] | null {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
  } catch {
    return null;
  }
  if (!Array.isArray(parts) || parts.length !== 4) return null;
  const [is, table, at, number]: readonly unknown[] = parts;
  if (is !== form || typeof table !== 'string' || typeof at !== 'number' || !Number.isSafeInteger(at) || at < 0) return null;
  return typeof number === 'string' && /^\d{1,18}$/.test(number) ? [is, table, at, number] : null;
}

const refused = (why: string): SwitchyardError =>
  new SwitchyardError('PAGE_TOKEN_INVALID', `token: ${why}; give the token of an earlier answer to a watch of the same table, or leave it out to watch from now`);
