import { SwitchyardError } from '../../../core/switchyard-error.ts';
import { type Visibility, visibilityOf } from '../../backend.ts';

/** What a `pg_snapshot` says, "xmin:xmax:xip,xip,…", by the low 32 bits of its numbers: the log has no more of them. */
export function visibilityFromText(text: string): Visibility {
  const [, next, listed] = /^\d+:(\d+):((?:\d+,)*\d+)?$/.exec(text) ?? [];
  if (next === undefined) throw new SwitchyardError('STORE_FAILED', `the server gives "${text}" for a snapshot`);
  return visibilityOf(low(next), listed === undefined ? [] : listed.split(',').map(low));
}

const low = (number: string): number => Number(BigInt.asUintN(32, BigInt(number)));
